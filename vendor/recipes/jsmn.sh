# One header; who includes it says JSMN_STATIC, JSMN_STRICT, JSMN_PARENT_LINKS.
headers . jsmn.h
