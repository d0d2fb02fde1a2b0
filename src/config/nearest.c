#include "config/private.h"

#include <ctype.h>

enum {
    WORD_MAX = 64, /* longer words are no slips of a key */
};

/* Edit distance with transpositions of neighbours counted once (optimal string alignment). */
static size_t distance(struct str a, const char *b, size_t b_size)
{
    size_t rows[3][WORD_MAX + 1];
    size_t *before = rows[0], *last = rows[1], *row = rows[2];

    for (size_t j = 0; j <= b_size; j++)
        last[j] = j;
    for (size_t i = 1; i <= a.size; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b_size; j++) {
            size_t best = last[j - 1] + (a.at[i - 1] != b[j - 1]);
            if (last[j] + 1 < best)
                best = last[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            if (i > 1 && j > 1 && a.at[i - 1] == b[j - 2] && a.at[i - 2] == b[j - 1] &&
                before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *oldest = before;
        before = last;
        last = row;
        row = oldest;
    }
    return last[b_size];
}

const char *cfg_nearest(struct str word, const char *const *candidates, size_t count)
{
    const char *nearest = NULL;
    size_t least = word.size / 2 < 4 ? word.size / 2 : 4; /* further away is another word */

    if (word.size > WORD_MAX)
        return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(candidates[i]);
        size_t steps = size > WORD_MAX ? SIZE_MAX : distance(word, candidates[i], size);
        if (steps <= least && (!nearest || steps < least)) {
            nearest = candidates[i];
            least = steps;
        }
    }
    return nearest;
}

/* --- where a key stands: just enough of Lua's lexis to skip comments and strings ------------- */

struct scan {
    struct str source;
    size_t at;
    int line;
};

static char peek(const struct scan *scan, size_t ahead)
{
    return scan->at + ahead < scan->source.size ? scan->source.at[scan->at + ahead] : '\0';
}

static void step(struct scan *scan)
{
    scan->line += scan->source.at[scan->at] == '\n';
    scan->at++;
}

/* At a '[': the number of '=' of a long bracket, or -1 when it is none. */
static int long_bracket(const struct scan *scan)
{
    size_t level = 1;

    while (peek(scan, level) == '=')
        level++;
    return peek(scan, level) == '[' ? (int)level - 1 : -1;
}

static void skip_long_bracket(struct scan *scan, int level)
{
    while (scan->at < scan->source.size) {
        if (peek(scan, 0) == ']') {
            int equals = 0;
            while (peek(scan, (size_t)equals + 1) == '=')
                equals++;
            if (equals == level && peek(scan, (size_t)equals + 1) == ']') {
                scan->at += (size_t)equals + 2;
                return;
            }
        }
        step(scan);
    }
}

static void skip_string(struct scan *scan, char quote)
{
    step(scan);
    while (scan->at < scan->source.size && peek(scan, 0) != quote && peek(scan, 0) != '\n') {
        if (peek(scan, 0) == '\\' && scan->at + 1 < scan->source.size)
            step(scan);
        step(scan);
    }
    if (scan->at < scan->source.size)
        step(scan);
}

/* Skips one comment or string that starts here; false when none does. */
static bool skip_opaque(struct scan *scan)
{
    char c = peek(scan, 0);

    if (c == '"' || c == '\'') {
        skip_string(scan, c);
        return true;
    }
    if (c == '[' && long_bracket(scan) >= 0) {
        skip_long_bracket(scan, long_bracket(scan));
        return true;
    }
    if (c != '-' || peek(scan, 1) != '-')
        return false;
    scan->at += 2;
    if (peek(scan, 0) == '[' && long_bracket(scan) >= 0) {
        skip_long_bracket(scan, long_bracket(scan));
        return true;
    }
    while (scan->at < scan->source.size && peek(scan, 0) != '\n')
        scan->at++;
    return true;
}

static bool is_name(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

/* Takes the name that starts here; whether it is `key` and an assignment follows. */
static bool take_name(struct scan *scan, const char *key)
{
    size_t start = scan->at;

    while (is_name(peek(scan, 0)))
        scan->at++;

    struct str name = str_of(scan->source.at + start, scan->at - start);
    size_t ahead = 0;
    while (isspace((unsigned char)peek(scan, ahead)))
        ahead++;
    return str_equal(name, str_from(key)) && peek(scan, ahead) == '=' &&
           peek(scan, ahead + 1) != '=';
}

int cfg_key_line(struct str source, int line, const char *key)
{
    struct scan scan = {.source = source, .line = 1};
    int depth = 0;

    while (scan.line < line && scan.at < source.size)
        step(&scan);
    while (scan.at < source.size) {
        char c = peek(&scan, 0);
        if (skip_opaque(&scan))
            continue;
        if (is_name(c)) {
            int at_line = scan.line;
            if (take_name(&scan, key) && depth == 1)
                return at_line;
            continue;
        }
        if (c == '{')
            depth++;
        if (c == '}' && --depth <= 0)
            break;
        step(&scan);
    }
    return line;
}
