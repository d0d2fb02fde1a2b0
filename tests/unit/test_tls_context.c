#include "tls_fixture.h"

/* The complaint about these two files; "" when they are good. */
static const char *complaint_at(const char *cert, const char *key, uint64_t now_s)
{
    static struct tls_fault fault;
    struct tls_files files = {tls_path(cert), tls_path(key)};
    struct tls_context *context = tls_context_new(&files, 1, now_s, NULL, &fault);

    if (!context)
        return fault.text;
    tls_context_unref(context);
    return "";
}

static const char *complaint(const char *cert, const char *key)
{
    return complaint_at(cert, key, tls_now());
}

static void assert_complaint(const char *cert, const char *key, const char *wanted)
{
    const char *text = complaint(cert, key);

    if (!strstr(text, wanted))
        fail_msg("expected \"%s\", found \"%s\"", wanted, text);
}

static void keys_of_every_form_are_loaded(void **state)
{
    (void)state;
    tls_shell("openssl ec -in ec.key -out sec1.key");
    tls_shell(
        "openssl ecparam -name prime256v1 >parameters.key; cat sec1.key >>parameters.key");
    tls_shell("openssl rsa -in rsa.key -traditional -out pkcs1.key");
    assert_string_equal(complaint("ec.pem", "ec.key"), "");
    assert_string_equal(complaint("ec.pem", "sec1.key"), "");
    assert_string_equal(complaint("ec.pem", "parameters.key"), "");
    assert_string_equal(complaint("rsa.pem", "rsa.key"), "");
    assert_string_equal(complaint("rsa.pem", "pkcs1.key"), "");
}

static void other_curves_are_loaded(void **state)
{
    static const char *const curves[] = {"P-384", "P-521"};
    (void)state;

    for (size_t i = 0; i < sizeof(curves) / sizeof(curves[0]); i++) {
        tls_shell("openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:%s -nodes "
                  "-keyout curve.key -out curve.pem -subj /CN=x",
                  curves[i]);
        assert_string_equal(complaint("curve.pem", "curve.key"), "");
    }
}

static void one_file_may_hold_key_and_chain(void **state)
{
    (void)state;
    tls_shell("cat ec.key ec.pem rsa.pem >all.pem");
    assert_string_equal(complaint("all.pem", "all.pem"), "");
}

static void a_last_line_without_its_end_is_read(void **state)
{
    (void)state;
    tls_shell("printf %%s \"$(cat ec.pem)\" >cut.pem; printf %%s \"$(cat ec.key)\" >cut.key");
    assert_string_equal(complaint("cut.pem", "cut.key"), "");
}

static void missing_files_are_named_by_the_reason(void **state)
{
    (void)state;
    assert_complaint("none.pem", "ec.key", "No such file");
    assert_complaint("ec.pem", "none.key", "No such file");
    tls_shell("mkdir -p folder.pem");
    assert_complaint("folder.pem", "ec.key", "Is a directory");
}

static void files_without_what_is_wanted_are_refused(void **state)
{
    (void)state;
    tls_shell(": >empty.pem; echo hello >text.pem");
    assert_complaint("empty.pem", "ec.key", "found no certificate");
    assert_complaint("text.pem", "ec.key", "found no certificate");
    assert_complaint("ec.key", "ec.pem", "found no certificate");
    assert_complaint("ec.pem", "ec.pem", "found no key");
}

static void broken_files_are_refused(void **state)
{
    (void)state;
    tls_shell("sed '3s/./!/' ec.pem >bang.pem; sed '2d' ec.pem >short.pem; "
              "head -4 ec.pem >half.pem; sed 2d ec.key >short.key");
    assert_complaint("bang.pem", "ec.key", "broken");
    assert_complaint("short.pem", "ec.key", "cannot be read");
    assert_complaint("half.pem", "ec.key", "found no certificate");
    assert_complaint("ec.pem", "short.key", "cannot be read");
}

static void too_long_chains_are_refused(void **state)
{
    (void)state;
    tls_shell(": >many.pem; for i in $(seq 16); do cat ec.pem; done >many.pem");
    assert_string_equal(complaint("many.pem", "ec.key"), "");
    tls_shell("cat ec.pem >>many.pem");
    assert_complaint("many.pem", "ec.key", "more than 16");
}

static void too_large_files_are_refused(void **state)
{
    (void)state;
    tls_shell("cp ec.pem large.pem; head -c 1048576 /dev/zero | tr '\\0' x >>large.pem");
    assert_complaint("large.pem", "ec.key", "larger than");
}

static void encrypted_keys_are_named_so(void **state)
{
    (void)state;
    tls_shell("openssl pkey -in ec.key -aes256 -passout pass:x -out pkcs8e.key; "
              "openssl rsa -in rsa.key -traditional -aes128 -passout pass:x -out pkcs1e.key");
    assert_complaint("ec.pem", "pkcs8e.key", "encrypted");
    assert_complaint("rsa.pem", "pkcs1e.key", "encrypted");
}

static void keys_of_other_certificates_are_refused(void **state)
{
    (void)state;
    tls_make("other", "other", "");
    assert_complaint("ec.pem", "other.key", "does not belong");
    assert_complaint("ec.pem", "rsa.key", "does not belong");
    assert_complaint("rsa.pem", "ec.key", "does not belong");
    tls_shell("cat other.pem ec.pem >order.pem");
    assert_complaint("order.pem", "ec.key", "must come first");
}

static void unsupported_kinds_of_key_are_refused(void **state)
{
    (void)state;
    tls_shell(
        "openssl req -x509 -newkey ed25519 -nodes -keyout ed.key -out ed.pem -subj /CN=x");
    assert_complaint("ed.pem", "ed.key", "expected X.509 with an RSA key");
    assert_complaint("ec.pem", "ed.key", "cannot be read");
}

static void dates_count_on_both_sides_of_their_borders(void **state)
{
    br_x509_decoder_context decoder;
    FILE *file;
    uint8_t der[4096];
    size_t size;
    (void)state;

    tls_shell("openssl x509 -in ec.pem -outform DER -out ec.der");
    file = fopen(tls_path("ec.der"), "rb");
    assert_non_null(file);
    size = fread(der, 1, sizeof(der), file);
    fclose(file);
    br_x509_decoder_init(&decoder, NULL, NULL);
    br_x509_decoder_push(&decoder, der, size);

    uint64_t from =
        ((uint64_t)decoder.notbefore_days - 719528) * 86400 + decoder.notbefore_seconds;
    uint64_t until =
        ((uint64_t)decoder.notafter_days - 719528) * 86400 + decoder.notafter_seconds;

    assert_true(from <= tls_now() && tls_now() - from < 3600);
    assert_int_equal(until - from, 30 * 86400);
    assert_string_equal(complaint_at("ec.pem", "ec.key", from), "");
    assert_string_equal(complaint_at("ec.pem", "ec.key", until), "");
    assert_non_null(strstr(complaint_at("ec.pem", "ec.key", from - 1), "not valid before 2"));
    assert_non_null(strstr(complaint_at("ec.pem", "ec.key", until + 1), "expired on 2"));
}

static void the_pair_at_fault_is_told(void **state)
{
    struct tls_fault fault;
    struct tls_files files[2] = {
        {tls_path("ec.pem"),  tls_path("ec.key")  },
        {tls_path("rsa.pem"), tls_path("none.key")}
    };
    (void)state;

    assert_null(tls_context_new(files, 2, tls_now(), NULL, &fault));
    assert_int_equal(fault.index, 1);
    assert_true(fault.in_key);
}

static void server_names_choose_the_certificate(void **state)
{
    static const struct {
        const char *name;
        size_t index;
    } cases[] = {
        {"localhost",          1},
        {"LocalHost",          1},
        {"localhost.",         1},
        {"a.example.test",     1},
        {"A.Example.Test",     1},
        {"xn--a.example.test", 1},
        {"a.b.example.test",   0},
        {"example.test",       0},
        {".example.test",      0},
        {"aexample.test",      0},
        {"*.example.test",     1},
        {"rsa.test",           0},
        {"unknown",            0},
        {"",                   0},
    };
    struct tls_context *context = tls_load("rsa", "ec");
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(tls_context_find(context, cases[i].name), cases[i].index);
    tls_context_unref(context);
}

static void the_common_name_counts_only_without_alternative_names(void **state)
{
    struct tls_context *context = tls_load("rsa", "ec");
    (void)state;

    tls_make("both", "common.test", "DNS:alternative.test");
    tls_context_unref(context);
    context = tls_load("rsa", "both");
    assert_int_equal(tls_context_find(context, "alternative.test"), 1);
    assert_int_equal(tls_context_find(context, "common.test"), 0);
    tls_context_unref(context);
    context = tls_load("ec", "rsa");
    assert_int_equal(tls_context_find(context, "rsa.test"), 1);
    tls_context_unref(context);
}

static void a_context_lives_as_long_as_a_connection(void **state)
{
    struct tls_context *context = tls_load("ec", NULL);
    struct tls *tls = tls_new(tls_context_ref(context));
    (void)state;

    tls_context_unref(context);
    tls_context_unref(context);
    assert_false(tls_established(tls));
    tls_free(tls);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_every_form_are_loaded),
        cmocka_unit_test(other_curves_are_loaded),
        cmocka_unit_test(one_file_may_hold_key_and_chain),
        cmocka_unit_test(a_last_line_without_its_end_is_read),
        cmocka_unit_test(missing_files_are_named_by_the_reason),
        cmocka_unit_test(files_without_what_is_wanted_are_refused),
        cmocka_unit_test(broken_files_are_refused),
        cmocka_unit_test(too_long_chains_are_refused),
        cmocka_unit_test(too_large_files_are_refused),
        cmocka_unit_test(encrypted_keys_are_named_so),
        cmocka_unit_test(keys_of_other_certificates_are_refused),
        cmocka_unit_test(unsupported_kinds_of_key_are_refused),
        cmocka_unit_test(dates_count_on_both_sides_of_their_borders),
        cmocka_unit_test(the_pair_at_fault_is_told),
        cmocka_unit_test(server_names_choose_the_certificate),
        cmocka_unit_test(the_common_name_counts_only_without_alternative_names),
        cmocka_unit_test(a_context_lives_as_long_as_a_connection),
    };

    return cmocka_run_group_tests(tests, tls_make_folder, tls_remove_folder);
}
