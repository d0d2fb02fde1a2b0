# All but ssl.c (OpenSSL) and the test program.
archive libhiredis -std=c99 -Wall -- alloc.c async.c hiredis.c net.c read.c sds.c sockcompat.c
headers hiredis alloc.h async.h hiredis.h net.h read.h sds.h sockcompat.h
