# The interpreter and its standard library; without dlopen (LUA_USE_LINUX), which a static binary does not have.
rm src/lua.c src/luac.c
archive liblua -std=gnu99 -DLUA_USE_POSIX -Wall -- src/*.c
headers . src/lua.h src/luaconf.h src/lualib.h src/lauxlib.h
