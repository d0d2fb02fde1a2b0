#include "base/str.h"

#include <stdlib.h>
#include <strings.h>

bool str_equal_nocase(struct str a, struct str b)
{
    return a.size == b.size && strncasecmp(a.at, b.at, a.size) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str text)
{
    while (text.size > 0 && is_blank(text.at[0]))
        text = str_of(text.at + 1, text.size - 1);
    while (text.size > 0 && is_blank(text.at[text.size - 1]))
        text.size--;
    return text;
}

char *str_dup(struct str text)
{
    char *copy = malloc(text.size + 1);

    if (!copy)
        return NULL;
    memcpy(copy, text.at, text.size);
    copy[text.size] = '\0';
    return copy;
}
