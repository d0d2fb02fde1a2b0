/*
 * fuzz_config: any text as the configuration's file: a config or a report with at least one line,
 * in bounded time, whatever the file computes.
 *
 * The loader's clock is set forward with every look at it, so a file that computes is stopped at
 * the first look and not after ten seconds; and the state's memory is bounded, which for a real
 * file only the machine does.
 *
 * Input     the text.
 */
#include "fuzz.h"

#include "base/clock.h"
#include "script/script.h"

enum {
    CLOCK_STEP_US = 60 * 1000 * 1000,
    MEMORY_MAX = 256 * 1024, /* bytes in Lua: string.rep takes a millisecond for that many */
};

struct bounded {
    lua_Alloc allocate; /* script's own */
    void *owner;
    size_t left;
};

uint64_t __wrap_clock_thread_cpu_us(void);

uint64_t __wrap_clock_thread_cpu_us(void)
{
    static uint64_t now_us;

    return now_us += CLOCK_STEP_US;
}

static void *allocate_bounded(void *owner, void *block, size_t old_size, size_t new_size)
{
    struct bounded *bounded = owner;
    size_t held = block ? old_size : 0;

    if (new_size > held && new_size - held > bounded->left)
        return NULL;
    void *moved = bounded->allocate(bounded->owner, block, old_size, new_size);
    if (moved || new_size == 0)
        bounded->left -= new_size - held; /* wraps where it shrinks */
    return moved;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const struct log log = {.fd = -1, .level = LOG_OFF};
    struct str source = {(char *)fuzz_copy(str_of(bytes, size)), size};
    struct script *script = script_new(&log);
    struct bounded bounded = {.left = MEMORY_MAX};
    struct cfg_report report;

    assert(script);
    lua_State *L = script_state(script);
    bounded.allocate = lua_getallocf(L, &bounded.owner);
    lua_setallocf(L, allocate_bounded, &bounded);
    cfg_report_init(&report);
    struct config *config = cfg_load(L, "fuzz.lua", source, &report);
    assert(config || (report.count > 0 && report.text.size > 0));
    if (config)
        assert(report.count == 0 && config->listen_count > 0);
    lua_setallocf(L, bounded.allocate, bounded.owner);
    script_free(script);
    cfg_free(config);
    cfg_report_free(&report);
    free((char *)source.at);
    return 0;
}
