# Without gz*.c: nothing here reads or writes gzip files.
archive libz -DHAVE_UNISTD_H -Wall -- adler32.c crc32.c deflate.c inffast.c inflate.c inftrees.c trees.c zutil.c
headers . zlib.h zconf.h
