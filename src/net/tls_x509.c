/*
 * The server names of a certificate. BearSSL's decoder gives key and dates but only the first
 * name of a kind, so this walks the DER itself: RFC 5280, 4.1.
 */
#include "net/tls_private.h"

#include <stdlib.h>

enum {
    DER_OBJECT_ID = 0x06,
    DER_OCTETS = 0x04,
    DER_SEQUENCE = 0x30,
    DER_VERSION = 0xa0,    /* [0] of a TBSCertificate */
    DER_EXTENSIONS = 0xa3, /* [3] */
    DER_DNS_NAME = 0x82,   /* [2] of a GeneralName */
    DER_IP_ADDRESS = 0x87, /* [7] */
};

/* Takes the next element off the front; false at the end, or when it is broken. */
static bool take(struct str *from, uint8_t *tag, struct str *content)
{
    const uint8_t *at = (const uint8_t *)from->at;
    size_t length, head = 2;

    if (from->size < 2)
        return false;
    *tag = at[0];
    length = at[1];
    if (length >= 0x80) {
        size_t width = length & 0x7f;

        if (width == 0 || width > 4 || from->size < 2 + width)
            return false;
        length = 0;
        for (size_t i = 0; i < width; i++)
            length = length << 8 | at[2 + i];
        head += width;
    }
    if (length > from->size - head)
        return false;
    *content = str_of(from->at + head, length);
    *from = str_from_index(*from, head + length);
    return true;
}

static bool take_tag(struct str *from, uint8_t wanted, struct str *content)
{
    uint8_t tag;

    return take(from, &tag, content) && tag == wanted;
}

/* Names are compared byte by byte from here on: lower case, and nothing that ends them early. */
static bool add_name(struct tls_certificate *certificate, struct str name)
{
    size_t count = certificate->name_count;
    char **names = certificate->names;

    if (name.size == 0 || name.size >= TLS_NAME_MAX || memchr(name.at, 0, name.size) ||
        count == TLS_NAMES_MAX)
        return true;
    if ((count & (count - 1)) == 0) {
        names = realloc(names, (count ? count * 2 : 1) * sizeof(*names));
        if (!names)
            return false;
        certificate->names = names;
    }
    names[count] = str_dup(name);
    if (!names[count])
        return false;
    for (char *at = names[count]; *at; at++) {
        if (*at >= 'A' && *at <= 'Z')
            *at = (char)(*at + ('a' - 'A'));
    }
    certificate->name_count++;
    return true;
}

static void add_address(struct tls_certificate *certificate, struct str address)
{
    struct tls_address *to = &certificate->addresses[certificate->address_count];

    if (certificate->address_count == TLS_ADDRESSES_MAX ||
        (address.size != 4 && address.size != sizeof(to->bytes)))
        return;
    to->size = (uint8_t)address.size;
    memcpy(to->bytes, address.at, address.size);
    certificate->address_count++;
}

static bool add_alternative_names(struct tls_certificate *certificate, struct str value)
{
    struct str list, name;
    uint8_t tag;

    if (!take_tag(&value, DER_SEQUENCE, &list))
        return false;
    while (take(&list, &tag, &name)) {
        if (tag == DER_DNS_NAME && !add_name(certificate, name))
            return false;
        if (tag == DER_IP_ADDRESS)
            add_address(certificate, name);
    }
    return true;
}

/* Extension: id, critical (may be absent), value in an octet string. */
static bool read_extensions(struct tls_certificate *certificate, struct str wrapped)
{
    static const struct str subject_alt_name = STR("\x55\x1d\x11");
    struct str list, extension, id, value;
    uint8_t tag;

    if (!take_tag(&wrapped, DER_SEQUENCE, &list))
        return false;
    while (take_tag(&list, DER_SEQUENCE, &extension)) {
        if (!take_tag(&extension, DER_OBJECT_ID, &id))
            return false;
        if (!str_equal(id, subject_alt_name))
            continue;
        while (take(&extension, &tag, &value)) {
            if (tag == DER_OCTETS && !add_alternative_names(certificate, value))
                return false;
        }
    }
    return true;
}

/* Name: sets of pairs of type and value. */
static bool read_common_name(struct tls_certificate *certificate, struct str subject)
{
    static const struct str common_name = STR("\x55\x04\x03");
    struct str set, pair, type, value;
    uint8_t tag;

    while (take(&subject, &tag, &set)) {
        while (take_tag(&set, DER_SEQUENCE, &pair)) {
            if (take_tag(&pair, DER_OBJECT_ID, &type) && str_equal(type, common_name) &&
                take(&pair, &tag, &value) && !add_name(certificate, value))
                return false;
        }
    }
    return true;
}

bool tls_read_names(struct tls_certificate *certificate, const uint8_t *der, size_t size)
{
    struct str file = str_of(der, size), whole, body, part, subject = STR("");
    uint8_t tag;
    int place = 0; /* serial, algorithm, issuer, validity, subject, … */

    if (!take_tag(&file, DER_SEQUENCE, &whole) || !take_tag(&whole, DER_SEQUENCE, &body))
        return false;
    while (take(&body, &tag, &part)) {
        if (tag == DER_VERSION)
            continue;
        if (place++ == 4)
            subject = part;
        if (tag == DER_EXTENSIONS && !read_extensions(certificate, part))
            return false;
    }
    return certificate->name_count > 0 || read_common_name(certificate, subject);
}

static bool fits(const char *pattern, struct str name)
{
    struct str wanted = str_from(pattern);

    if (!str_starts(wanted, STR("*.")))
        return str_equal_nocase(wanted, name);

    const char *dot = memchr(name.at, '.', name.size);

    return dot && dot != name.at &&
           str_equal_nocase(str_from_index(wanted, 1),
                            str_from_index(name, (size_t)(dot - name.at)));
}

bool tls_certificate_is_for(const struct tls_certificate *certificate, struct str name)
{
    if (name.size > 0 && name.at[name.size - 1] == '.')
        name.size--; /* the root's dot, which some resolvers leave on */
    for (size_t i = 0; i < certificate->name_count; i++) {
        if (fits(certificate->names[i], name))
            return true;
    }
    return false;
}

bool tls_certificate_is_for_address(const struct tls_certificate *certificate,
                                    const struct tls_address *address)
{
    for (size_t i = 0; i < certificate->address_count; i++) {
        const struct tls_address *one = &certificate->addresses[i];

        if (one->size == address->size && memcmp(one->bytes, address->bytes, one->size) == 0)
            return true;
    }
    return false;
}
