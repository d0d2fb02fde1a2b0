/*
 * jsonp: polling for pages that can only load scripts and submit forms: a payload goes out as a
 * call of a function, and comes in as the field `d` of a form.
 *
 * Callers   transport_polling.
 * Owner     the caller owns bufs and frames.
 * Threads   any, no state.
 * Errors    NULL or false when out of memory.
 * Source    protocol/engine-io.md, 6.
 */
#ifndef SKUA_ENGINEIO_JSONP_H
#define SKUA_ENGINEIO_JSONP_H

#include "base/buf.h"
#include "net/frame.h"

/* The script that calls ___eio[index] with the payload, as a FRAME_RAW frame. */
struct frame *eio_jsonp_script(struct str index, struct str payload);

/* Appends the payload of a form. `*present` tells whether there is one. */
bool eio_jsonp_payload(struct str form, struct buf *payload, bool *present);

#endif
