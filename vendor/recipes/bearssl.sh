mapfile -t files < <(find src -name '*.c' | LC_ALL=C sort)
archive libbearssl -Iinc -Isrc -Wall -- "${files[@]}"
headers . inc/*.h
