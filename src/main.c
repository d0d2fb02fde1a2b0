/*
 * main: the command line. What to load is decided here; serving is the worker's.
 */
#include "embed.h"
#include "script/script.h"
#include "server/listeners.h"
#include "server/process.h"
#include "versions.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define LOCAL_CONFIG "skua.lua"
#define PACKAGED_CONFIG "/etc/skua/skua.lua"

enum {
    EXIT_USAGE = 2,
};

static const char usage[] =
    "usage: skua [run] [FILE]    serve what FILE declares\n"
    "       skua check FILE      find every fault in FILE without serving\n"
    "       skua init            print a commented file to start from\n"
    "       skua version         print the versions of skua and of its libraries\n"
    "       skua --help          print this\n"
    "\n"
    "Without FILE: ./" LOCAL_CONFIG ", else " PACKAGED_CONFIG
    ", else a built-in demo on port 3000.\n"
    "SIGINT and SIGTERM drain the server, a second one ends it at once; SIGHUP loads\n"
    "certificates anew; SIGUSR2 starts the program anew without refusing a connection.\n";

static int fail_usage(const char *what, const char *word)
{
    fprintf(stderr, "skua: %s%s%s%s\n\n%s", what, word ? " \"" : "", word ? word : "",
            word ? "\"" : "", usage);
    return EXIT_USAGE;
}

/* Every connection is a descriptor: take all that we may have. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int print_faults(struct cfg_report *report)
{
    fwrite(report->text.at, 1, report->text.size, stderr);
    if (report->count > 1)
        fprintf(stderr, "%zu faults\n", report->count);
    cfg_report_free(report);
    return EXIT_FAILURE;
}

static int serve(struct process *process, const char *name, struct str source,
                 struct cfg_report *report)
{
    if (process_serve(process, name, source, report)) {
        cfg_report_free(report);
        return EXIT_SUCCESS;
    }
    process_fail(process, report);
    return print_faults(report);
}

/* The file that is meant when none is named, or NULL: the demo. */
static const char *find_config(void)
{
    if (access(LOCAL_CONFIG, F_OK) == 0)
        return LOCAL_CONFIG;
    return access(PACKAGED_CONFIG, F_OK) == 0 ? PACKAGED_CONFIG : NULL;
}

static int run_demo(struct process *process, struct cfg_report *report)
{
    fprintf(stderr,
            "skua: neither ./%s nor %s is there: running the built-in demo.\n"
            "skua: \"skua init > %s\" writes a file to start from.\n",
            LOCAL_CONFIG, PACKAGED_CONFIG, LOCAL_CONFIG);
    return serve(process, "demo.lua", str_of(embed_demo, embed_demo_size), report);
}

static int run_file(struct process *process, const char *path, struct cfg_report *report)
{
    size_t size;
    char *source = cfg_read(path, &size, report);
    int result;

    if (!source) {
        process_fail(process, report);
        return print_faults(report);
    }
    result = serve(process, path, str_of(source, size), report);
    free(source);
    return result;
}

static int command_run(const char *path, char **argv)
{
    struct cfg_report report;
    struct process *process;
    int result;

    raise_descriptor_limit();
    cfg_report_init(&report);
    process = process_new(argv, &report);
    if (!process)
        return print_faults(&report);
    if (!path)
        path = find_config();
    result = path ? run_file(process, path, &report) : run_demo(process, &report);
    process_free(process);
    return result;
}

static int command_check(const char *path)
{
    const struct log log = {.fd = STDERR_FILENO, .level = LOG_INFO, .format = LOG_TEXT};
    struct cfg_report report;
    struct config *config = NULL;
    struct script *script = NULL;
    size_t size;
    int result = EXIT_FAILURE;

    raise_descriptor_limit();
    cfg_report_init(&report);
    char *source = cfg_read(path, &size, &report);
    if (!source)
        goto done;
    script = script_new(&log);
    if (!script) {
        fputs("skua: out of memory\n", stderr);
        goto done;
    }
    config = cfg_load(script_state(script), path, str_of(source, size), &report);
    if (config && listeners_check(config, &report)) {
        printf("%s: good\n", path);
        result = EXIT_SUCCESS;
    }

done:
    if (result == EXIT_SUCCESS)
        cfg_report_free(&report);
    else
        print_faults(&report);
    cfg_free(config);
    if (script)
        script_free(script);
    free(source);
    return result;
}

static int command_init(void)
{
    fwrite(embed_starter, 1, embed_starter_size, stdout);
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int command_version(void)
{
    printf("skua %s\n%s", SKUA_VERSION, SKUA_LIB_VERSIONS);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"help",    no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL,      0,           NULL, 0  },
    };
    int option;

    while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        }
        if (option == 'v')
            return command_version();
        fputs(usage, stderr);
        return EXIT_USAGE;
    }

    const char *command = optind < argc ? argv[optind] : "run";
    int words = argc - optind - 1; /* behind the command */
    const char *word = words > 0 ? argv[optind + 1] : NULL;

    if (strcmp(command, "run") == 0)
        return words > 1 ? fail_usage("one FILE at most, found also", argv[optind + 2])
                         : command_run(word, argv);
    if (strcmp(command, "check") == 0)
        return words == 1 ? command_check(word) : fail_usage("check takes one FILE", NULL);
    if (strcmp(command, "init") == 0)
        return words == 0 ? command_init() : fail_usage("init takes no argument, found", word);
    if (strcmp(command, "version") == 0)
        return words == 0 ? command_version()
                          : fail_usage("version takes no argument, found", word);
    if (strcmp(command, "help") == 0) {
        fputs(usage, stdout);
        return EXIT_SUCCESS;
    }

    /* `skua FILE`: anything that looks like a file; a mistyped command should not read as one. */
    if (words == 0 &&
        (strchr(command, '.') || strchr(command, '/') || access(command, F_OK) == 0))
        return command_run(command, argv);
    return fail_usage("neither a command nor a file:", command);
}
