#include "engineio/cors.h"

#include <assert.h>
#include <stdio.h>

static const struct str default_methods = {"GET,HEAD,PUT,PATCH,POST,DELETE", 30};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool cors_pattern_matches(struct str pattern, struct str origin)
{
    const size_t none = SIZE_MAX;
    size_t p = 0, o = 0;
    size_t star = none, star_end = 0; /* the last '*' passed, and where its run ends */

    while (o < origin.size) {
        if (p < pattern.size && pattern.at[p] == '*') {
            star = p++;
            star_end = o;
        } else if (p < pattern.size && lower(pattern.at[p]) == lower(origin.at[o])) {
            p++;
            o++;
        } else if (star != none && origin.at[star_end] != '/') {
            p = star + 1;
            o = ++star_end;
        } else {
            return false;
        }
    }
    while (p < pattern.size && pattern.at[p] == '*')
        p++;
    return p == pattern.size;
}

static bool listed(const struct cors_policy *policy, struct str origin)
{
    for (size_t i = 0; i < policy->origin_count; i++)
        if (cors_pattern_matches(policy->origins[i], origin))
            return true;
    return false;
}

bool cors_allows(const struct cors_policy *policy, struct str origin)
{
    if (origin.size == 0)
        return true;
    switch (policy->mode) {
    case CORS_FIXED:
        assert(policy->origin_count == 1);
        return str_equal_nocase(policy->origins[0], origin);
    case CORS_LIST:
        return listed(policy, origin);
    case CORS_DECIDE:
        return policy->decide(policy->decide_owner, origin);
    case CORS_OFF:
    case CORS_ANY:
    case CORS_REFLECT:
        return true;
    }
    assert(!"a mode of cors");
}

struct writer {
    struct http_header *headers;
    size_t count;
};

static void add(struct writer *to, struct str name, struct str value)
{
    assert(to->count < CORS_HEADERS_MAX);
    to->headers[to->count++] = (struct http_header){name, value};
}

/* False: the policy has nothing to say to this request. */
static bool add_origin(struct writer *to, const struct cors_policy *policy, struct str origin)
{
    static const struct str name = {"Access-Control-Allow-Origin", 27};
    bool reflected = false;

    switch (policy->mode) {
    case CORS_OFF:
        return false;
    case CORS_ANY:
        add(to, name, STR("*"));
        return true;
    case CORS_FIXED:
        assert(policy->origin_count == 1);
        add(to, name, policy->origins[0]);
        break;
    case CORS_REFLECT:
        reflected = true;
        break;
    case CORS_LIST:
        reflected = listed(policy, origin);
        break;
    case CORS_DECIDE:
        if (!policy->decide(policy->decide_owner, origin))
            return false;
        reflected = true;
        break;
    }
    if (reflected && origin.size > 0)
        add(to, name, origin);
    add(to, STR("Vary"), STR("Origin"));
    return true;
}

static bool add_common(struct writer *to, const struct cors_policy *policy,
                       const struct http_request *request)
{
    struct str origin = http_request_header(request, "origin");

    if (!add_origin(to, policy, str_of(origin.at, origin.size)))
        return false;
    if (policy->credentials)
        add(to, STR("Access-Control-Allow-Credentials"), STR("true"));
    return true;
}

static void add_exposed(struct writer *to, const struct cors_policy *policy)
{
    if (policy->exposed_headers.size > 0)
        add(to, STR("Access-Control-Expose-Headers"), policy->exposed_headers);
}

size_t cors_headers(const struct cors_policy *policy, const struct http_request *request,
                    struct http_header headers[CORS_HEADERS_MAX])
{
    struct writer to = {headers, 0};

    if (add_common(&to, policy, request))
        add_exposed(&to, policy);
    return to.count;
}

static void add_vary_requested(struct writer *to)
{
    for (size_t i = 0; i < to->count; i++) {
        if (str_equal(to->headers[i].name, STR("Vary"))) {
            to->headers[i].value = STR("Origin, Access-Control-Request-Headers");
            return;
        }
    }
    add(to, STR("Vary"), STR("Access-Control-Request-Headers"));
}

static void add_allowed_headers(struct writer *to, const struct cors_policy *policy,
                                const struct http_request *request)
{
    struct str allowed = policy->allowed_headers;

    if (allowed.size == 0) {
        add_vary_requested(to);
        allowed = http_request_header(request, "access-control-request-headers");
    }
    if (allowed.size > 0)
        add(to, STR("Access-Control-Allow-Headers"), allowed);
}

bool cors_preflight(const struct cors_policy *policy, struct http_exchange *exchange)
{
    const struct http_request *request = http_exchange_request(exchange);
    struct http_header headers[CORS_HEADERS_MAX];
    struct writer to = {headers, 0};
    char max_age[16];

    if (request->method != HTTP_OPTIONS || !add_common(&to, policy, request))
        return false;
    add(&to, STR("Access-Control-Allow-Methods"),
        policy->methods.size > 0 ? policy->methods : default_methods);
    add_allowed_headers(&to, policy, request);
    if (policy->has_max_age) {
        snprintf(max_age, sizeof(max_age), "%u", policy->max_age_s);
        add(&to, STR("Access-Control-Max-Age"), str_from(max_age));
    }
    add_exposed(&to, policy);
    add(&to, STR("Content-Length"), STR("0"));
    http_exchange_respond(exchange, &(struct http_response){
                                        .status = 204,
                                        .headers = headers,
                                        .header_count = to.count,
                                        .body = STR(""),
                                        .no_length = true,
                                    });
    return true;
}
