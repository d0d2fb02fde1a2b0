# Static, without TLS (its backends are for other TLS libraries than ours), HTTP/2, plugins and the protocols above
# HTTP that nobody here uses. Our event loop drives it (info.event_lib_custom), so no event library either.
options=(
    -DCMAKE_BUILD_TYPE=None -DCMAKE_C_COMPILER="$CC" -DCMAKE_AR="$(command -v "$AR")"
    -DCMAKE_DISABLE_FIND_PACKAGE_Git=ON # else the version string is that of the repository around it
    -DLWS_WITH_SHARED=OFF -DLWS_WITH_STATIC=ON -DLWS_STATIC_PIC=OFF -DDISABLE_WERROR=ON
    -DLWS_WITHOUT_TESTAPPS=ON -DLWS_WITHOUT_TEST_SERVER=ON -DLWS_WITHOUT_TEST_CLIENT=ON -DLWS_WITH_MINIMAL_EXAMPLES=OFF
    -DLWS_ROLE_H1=ON -DLWS_ROLE_WS=ON -DLWS_ROLE_RAW_FILE=ON -DLWS_WITH_HTTP2=OFF -DLWS_WITHOUT_EXTENSIONS=ON
    -DLWS_WITH_SSL=OFF -DLWS_UNIX_SOCK=ON -DLWS_IPV6=ON
    -DLWS_WITH_EVLIB_PLUGINS=OFF -DLWS_WITH_PLUGINS=OFF -DLWS_WITH_LIBCAP=OFF -DLWS_MAX_SMP=1
    -DLWS_WITH_LEJP=OFF -DLWS_WITH_LEJP_CONF=OFF -DLWS_WITH_SYS_STATE=OFF -DLWS_WITH_SYS_SMD=OFF
    -DLWS_WITH_SYS_METRICS=OFF -DLWS_WITH_SECURE_STREAMS=OFF -DLWS_WITH_UPNG=OFF -DLWS_WITH_GZINFLATE=OFF
    -DLWS_WITH_JPEG=OFF -DLWS_WITH_DLO=OFF -DLWS_WITH_CACHE_NSCOOKIEJAR=OFF -DLWS_WITH_CONMON=OFF
    -DLWS_WITH_NETLINK=OFF -DLWS_WITH_TLS_SESSIONS=OFF -DLWS_WITH_HTTP_BASIC_AUTH=OFF
    -DLWS_WITH_CUSTOM_HEADERS=ON -DLWS_WITH_HTTP_UNCOMMON_HEADERS=ON
)
if [ "$CC" != gcc ]; then
    # as for another machine: CMake must not find libraries of this one's libc
    options+=(
        -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR="$(uname -m)" -DCMAKE_EXE_LINKER_FLAGS=-static
        -DCMAKE_FIND_ROOT_PATH="$PREFIX" -DCMAKE_FIND_ROOT_PATH_MODE_LIBRARY=ONLY
        -DCMAKE_FIND_ROOT_PATH_MODE_INCLUDE=ONLY -DCMAKE_FIND_ROOT_PATH_MODE_PROGRAM=NEVER
    )
    CFLAGS+=(-idirafter "$PREFIX/kernel")
fi
cmake -S . -B out "${options[@]}" -DCMAKE_C_FLAGS="${CFLAGS[*]}"
cmake --build out -j "$JOBS"
install -m 644 out/lib/libwebsockets.a "$PREFIX/lib/"
headers . include/libwebsockets.h out/lws_config.h
cp -r include/libwebsockets "$PREFIX/include/"
