/*
 * js_number: text as JavaScript's Number() reads it, where the reference counts on that.
 *
 * Callers   socketio (attachment counts, ack ids), engineio (lengths in payloads of protocol 3).
 * Owner     nothing is kept.
 * Errors    NaN. It also stands for "Infinity", which is no number of anything.
 * Source    ECMA-262, StringToNumber and WhiteSpace.
 */
#ifndef SKUA_BASE_JS_NUMBER_H
#define SKUA_BASE_JS_NUMBER_H

#include "base/str.h"

/* Bytes of the white space character (as String.prototype.trim knows them) at `at`, or 0. */
size_t js_space(const char *at, const char *end);

/* Trims at the front. */
const char *js_skip_spaces(const char *at, const char *end);

/* The byte behind the text must be readable and none that a number could go on with: '-', ':'. */
double js_number(struct str text);

#endif
