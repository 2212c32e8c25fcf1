/* fuzz_config: marketo.conf. Every mistake has a line of the file; what is taken is within its
 * limits. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "check.h"
#include "mkto_config.h"

static char path[] = "/tmp/mkto-fuzz-XXXXXX";

static void forget_file(void)
{
    unlink(path);
}

static void write_file(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0) {
        fd = mkstemp(path);
        atexit(forget_file);
    }
    HOLDS(fd >= 0 && ftruncate(fd, 0) == 0);
    HOLDS(size == 0 || pwrite(fd, data, size, 0) == (ssize_t)size);
}

static size_t lines_of(const uint8_t *data, size_t size)
{
    size_t lines = 1;
    for (size_t i = 0; i < size; i++) {
        lines += data[i] == '\n' ? 1 : 0;
    }
    return lines;
}

/* "FILE:LINE: key: reason", or "FILE: reason" of the file as a whole. */
static void check_mistake(const char *text, size_t lines)
{
    const size_t name = strlen(path);
    HOLDS_FOR(strncmp(text, path, name) == 0 && text[name] == ':', text);
    if (text[name + 1] == ' ') {
        HOLDS_FOR(text[name + 2] != '\0', text);
        return;
    }
    char *end;
    const unsigned long line = strtoul(text + name + 1, &end, 10);
    HOLDS_FOR(line >= 1 && line <= lines, text);
    HOLDS_FOR(strncmp(end, ": ", 2) == 0 && end[2] != '\0', text);
}

static void check_all(char *all, size_t len, size_t lines)
{
    struct mkto_slice rest = {all, len};
    HOLDS(len > 0 && all[len - 1] == '\n');
    rest.len--;
    while (rest.data != NULL) {
        const struct mkto_slice line = check_line(&rest);
        HOLDS(check_one_line(line));
        all[line.data + line.len - all] = '\0';
        check_mistake(line.data, lines);
    }
}

static void check_subscription(const struct mkto_config *config,
                               const struct mkto_subscription *subscription)
{
    HOLDS(mkto_config_subscription(config, mkto_slice_str(subscription->name)) == subscription);
    HOLDS(strlen(subscription->munchkin_id) == 11);
    HOLDS(subscription->rest_endpoint != NULL && subscription->munchkin_endpoint != NULL);
    HOLDS(subscription->api != MKTO_API_SOAP || subscription->soap_endpoint != NULL);
    HOLDS(subscription->batch_size >= 1 && subscription->batch_size <= 300);
    HOLDS(subscription->calls_reserve <= subscription->calls_per_day);
    HOLDS(subscription->connect_timeout_ms <= subscription->timeout_ms);
    for (size_t i = 0; i < subscription->field_count; i++) {
        const struct mkto_config_field *field = &subscription->fields[i];
        HOLDS(mkto_config_field(subscription, mkto_slice_str(field->trait)) != NULL);
    }
}

static void check_config(const struct mkto_config *config)
{
    HOLDS(config->digest != 0 && config->spool_path[0] == '/' && config->socket[0] == '/');
    HOLDS(strlen(config->socket) <= MKTO_SOCKET_PATH_MAX);
    HOLDS(config->subscription_count >= 1);
    HOLDS(config->subscription_count <= MKTO_CONFIG_SUBSCRIPTIONS_MAX);
    for (size_t i = 0; i < config->subscription_count; i++) {
        check_subscription(config, &config->subscriptions[i]);
    }
    for (size_t i = 0; i < config->source_count; i++) {
        const struct mkto_slice key = mkto_slice_str(config->sources[i].key);
        HOLDS(mkto_config_source(config, key) != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct mkto_config_options options = {.reader = (uid_t)-1, .skip_secret_files = true};
    struct mkto_error err = MKTO_ERROR_INIT;
    char *all = NULL;
    size_t len = 0;
    FILE *stream = open_memstream(&all, &len);

    write_file(data, size);
    const struct mkto_config *config = mkto_config_read(path, &options, &err, stream);
    fclose(stream);
    if (config == NULL) {
        check_error(&err, size);
        check_mistake(err.text, lines_of(data, size));
        check_all(all, len, lines_of(data, size));
    } else {
        HOLDS(err.text[0] == '\0' && len == 0);
        check_config(config);
    }
    mkto_config_free(config);
    free(all);
    return 0;
}
