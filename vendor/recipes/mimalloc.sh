# One object, not a library: it has to come first on the link line to replace musl's malloc.
"$CC" "${CFLAGS[@]}" -std=gnu11 -Iinclude -DNDEBUG -DMI_MALLOC_OVERRIDE -DMI_LIBC_MUSL=1 -ftls-model=initial-exec -fno-builtin-malloc \
    -c src/static.c -o "$PREFIX/lib/mimalloc.o"
headers . include/mimalloc.h
