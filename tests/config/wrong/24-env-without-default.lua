listen(env "SKUA_TEST_NOT_SET")
