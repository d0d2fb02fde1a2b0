# STRICT rejects what lenient parsers let through, on which request smuggling lives.
archive libhttp_parser -DHTTP_PARSER_STRICT=1 -Wall -- http_parser.c
headers . http_parser.h
