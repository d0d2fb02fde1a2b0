/*
 * codec_private: what the codecs share: values that are JSON or MessagePack alike, read and
 * written, and the data of messages that sharded and streams have in common.
 *
 * Callers   codec_*.c only.
 */
#ifndef SKUA_CLUSTER_CODEC_PRIVATE_H
#define SKUA_CLUSTER_CODEC_PRIVATE_H

#include "cluster/codec.h"

#define CODEC_MESSAGE_MAX ((size_t)1 << 30) /* bytes of one message; JSON docs count in int */

/* --- reading (codec_read.c) ------------------------------------------------------------------ */

/* A value of the message that is read, or none. */
struct codec_value {
    bool there;                   /* null and undefined are not there */
    const struct json_doc *doc;   /* NULL: MessagePack */
    uint32_t at;                  /* JSON */
    struct msgpack_reader reader; /* MessagePack: the value begins here */
};

/* An empty message of the receiver's namespace. */
void codec_begin(struct codec_decoded *decoded, const struct codec_receiver *receiver);

/* Checks all of the bytes. False with a reason. */
bool codec_open(struct codec_decoded *decoded, struct str bytes, struct codec_value *root);

/* The values of a map's members by name, in `values`; the last of doubles. False when it is no map. */
bool codec_members(const struct codec_value *map, const struct str *names,
                   struct codec_value *values, size_t count);

/* The first elements of an array; those that it does not have are not there. False when it is no
 * array. `*size` is how many it has. */
bool codec_elements(const struct codec_value *array, struct codec_value *values, size_t count,
                    size_t *size);

bool codec_string(struct codec_decoded *decoded, const struct codec_value *value,
                  struct str *text);
bool codec_number(const struct codec_value *value, double *number);
bool codec_is_bool(const struct codec_value *value, bool expected);

/* A value that is not there is an empty list; numbers become their text. `list` is which of
 * decoded->lists keeps it. */
bool codec_strings(struct codec_decoded *decoded, const struct codec_value *value, size_t list,
                   const struct str **strings, size_t *count);

/* The value as checked JSON with binary values in decoded->bins; in brackets if `wrapped`. One
 * value a message. */
bool codec_json(struct codec_decoded *decoded, const struct codec_value *value, bool wrapped,
                struct sio_args *args);

/* An event: the array that begins with its name. */
bool codec_event(struct codec_decoded *decoded, const struct codec_value *value);

/* {rooms, except, flags} into the message. */
bool codec_options(struct codec_decoded *decoded, const struct codec_value *value);

/* {type, data, nsp}: an event. `*nsp` is empty when there is none. */
bool codec_packet(struct codec_decoded *decoded, const struct codec_value *value,
                  struct str *nsp);

/* A whole number from 0 on, up to `maximum`. */
bool codec_whole(const struct codec_value *value, uint64_t maximum, uint64_t *whole);

enum codec_verdict codec_refuse(struct codec_decoded *decoded, const char *reason);
enum codec_verdict codec_ignore(struct codec_decoded *decoded, const char *reason);

/* --- writing (codec_write.c) ----------------------------------------------------------------- */

/* Writes one value in any form: containers are told their size before, and end after. */
struct codec_writer {
    struct buf *to;
    enum codec_form form;
    size_t start; /* of the value in the buf */
};

void codec_write_map(const struct codec_writer *writer, uint32_t count);
void codec_write_map_end(const struct codec_writer *writer);
void codec_write_array(const struct codec_writer *writer, uint32_t count);
void codec_write_array_end(const struct codec_writer *writer);
void codec_write_key(const struct codec_writer *writer, struct str name);
void codec_write_string(const struct codec_writer *writer, struct str text);
void codec_write_whole(const struct codec_writer *writer, uint64_t number);
void codec_write_bool(const struct codec_writer *writer, bool value);
void codec_write_strings(const struct codec_writer *writer, const struct str *strings,
                         size_t count);

/* Checked JSON; binary values that JSON must carry are written as JSON.stringify writes Buffers. */
bool codec_write_json(const struct codec_writer *writer, const struct sio_args *args);

/* A member whose value is the first element of args->json, which is undefined if there is none. */
bool codec_write_first(const struct codec_writer *writer, struct str name,
                       const struct sio_args *args);

/* How many members codec_write_first() writes: 0 or 1. */
uint32_t codec_first_count(const struct codec_writer *writer, const struct sio_args *args);

/* {rooms, except} with flags or without. */
void codec_write_options(const struct codec_writer *writer,
                         const struct cluster_message *message, bool flags);

/* {type, data[, nsp]} */
bool codec_write_packet(const struct codec_writer *writer,
                        const struct cluster_message *message, bool nsp);

/* --- the data that sharded and streams share (codec_data.c) ----------------------------------- */

/* The number of the kind in their messages; 0: they have no word for it. */
unsigned codec_data_type(enum cluster_kind kind);

/* Whether it is JSON nowhere: there is binary, and the kind may have some. */
bool codec_data_is_binary(const struct cluster_message *message);

bool codec_write_data(const struct codec_writer *writer, const struct cluster_message *message);

/* Sets the message's kind and what the data says. */
enum codec_verdict codec_read_data(struct codec_decoded *decoded, double type,
                                   const struct codec_value *data);

#endif
