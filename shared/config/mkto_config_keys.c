#include "mkto_config.h"

#define S INT64_C(1000)
#define M (60 * S)
#define H (60 * M)
#define D (24 * H)
#define MB (INT64_C(1) << 20)
#define TB (INT64_C(1) << 40)
#define OF(member) offsetof(struct mkto_subscription, member)
#define CONF(member) offsetof(struct mkto_config, member)

/* clang-format off */
static const struct mkto_config_key keys[] = {
    {"marketo", "munchkin_id", "3-3-3 letters and digits: 561-HYG-937", "",
     "Munchkin account id of the subscription (Admin > Munchkin); required",
     MKTO_CONFIG_KIND_MUNCHKIN, 0, 0, OF(munchkin_id)},
    {"marketo", "api", "rest or soap", "rest",
     "API that leads are sent through; Marketo itself removed SOAP on 2026-07-31, relays still speak it",
     MKTO_CONFIG_KIND_API, 0, 0, OF(api)},
    {"marketo", "naming", "pascal or full_pascal", "pascal",
     "how a trait becomes a field name: second_color is Second_color with pascal, SecondColor with full_pascal",
     MKTO_CONFIG_KIND_NAMING, 0, 0, OF(naming)},
    {"marketo", "host", "host name", "",
     "site that a page event belongs to when it carries no address",
     MKTO_CONFIG_KIND_HOST, 0, 0, OF(host)},
    {"marketo", "rest_endpoint", "https URL, without /rest", "https://<munchkin_id>.mktorest.com",
     "REST API; http:// only to this machine",
     MKTO_CONFIG_KIND_URL, 0, 0, OF(rest_endpoint)},
    {"marketo", "rest_client_id", "text without spaces", "",
     "client id of the LaunchPoint service; required with api = rest",
     MKTO_CONFIG_KIND_WORD, 0, 0, OF(rest_client_id)},
    {"marketo", "rest_client_secret_file", "absolute path", "",
     "file that holds the client secret; required with api = rest",
     MKTO_CONFIG_KIND_SECRET, 0, 0, OF(rest_client_secret_file)},
    {"marketo", "rest_partition", "text", "",
     "lead partition for new leads (partitionName)",
     MKTO_CONFIG_KIND_TEXT, 0, 0, OF(rest_partition)},
    {"marketo", "soap_endpoint", "https URL", "",
     "SOAP API with its version: https://ID.mktoapi.com/soap/mktows/3_1; required with api = soap",
     MKTO_CONFIG_KIND_URL, 0, 0, OF(soap_endpoint)},
    {"marketo", "soap_user_id", "text without spaces", "",
     "SOAP user id; required with api = soap",
     MKTO_CONFIG_KIND_WORD, 0, 0, OF(soap_user_id)},
    {"marketo", "soap_encryption_key_file", "absolute path", "",
     "file that holds the SOAP encryption key; required with api = soap",
     MKTO_CONFIG_KIND_SECRET, 0, 0, OF(soap_encryption_key_file)},
    {"marketo", "soap_workspace", "text", "",
     "workspace for new leads (targetWorkspace); for leads that are sent one by one only",
     MKTO_CONFIG_KIND_TEXT, 0, 0, OF(soap_workspace)},
    {"marketo", "munchkin_endpoint", "https URL", "https://<munchkin_id>.mktoresp.com",
     "collector of page visits; http:// only to this machine",
     MKTO_CONFIG_KIND_URL, 0, 0, OF(munchkin_endpoint)},
    {"marketo", "munchkin_private_key_file", "absolute path", "",
     "file that holds the Munchkin API private key; what `marketo hash` signs with",
     MKTO_CONFIG_KIND_SECRET, 0, 0, OF(munchkin_private_key_file)},
    {"marketo", "ca_file", "absolute path", "",
     "PEM file of the authorities to trust, in place of the system's",
     MKTO_CONFIG_KIND_FILE, 0, 0, OF(ca_file)},
    {"marketo", "lead_interval", "duration, 0..1h", "30s",
     "one sync per lead in this time",
     MKTO_CONFIG_KIND_DURATION, 0, H, OF(lead_interval_ms)},
    {"marketo", "unchanged_for", "duration, 0..30d", "24h",
     "an identify that changes nothing costs no call in this time",
     MKTO_CONFIG_KIND_DURATION, 0, 30 * D, OF(unchanged_for_ms)},
    {"marketo", "batch_wait", "duration, 0..1m", "1s",
     "how long a batch of leads fills before it is sent",
     MKTO_CONFIG_KIND_DURATION, 0, M, OF(batch_wait_ms)},
    {"marketo", "batch_size", "1..300", "300",
     "leads in one call at most",
     MKTO_CONFIG_KIND_COUNT, 1, 300, OF(batch_size)},
    {"marketo", "calls_per_20s", "1..100", "50",
     "calls in any 20 seconds; Marketo allows 100 to all integrations together",
     MKTO_CONFIG_KIND_COUNT, 1, 100, OF(calls_per_20s)},
    {"marketo", "calls_at_once", "1..10", "5",
     "calls under way at the same time; Marketo allows 10 to all integrations together",
     MKTO_CONFIG_KIND_COUNT, 1, 10, OF(calls_at_once)},
    {"marketo", "calls_per_day", "1..1000000", "10000",
     "calls from one midnight US Central to the next",
     MKTO_CONFIG_KIND_COUNT, 1, 1000000, OF(calls_per_day)},
    {"marketo", "calls_reserve", "0..calls_per_day", "1000",
     "part of calls_per_day that only identify may use; unset: at most a tenth of calls_per_day",
     MKTO_CONFIG_KIND_COUNT, 0, 1000000, OF(calls_reserve)},
    {"marketo", "visits_at_once", "1..256", "32",
     "page visits under way at the same time",
     MKTO_CONFIG_KIND_COUNT, 1, 256, OF(visits_at_once)},
    {"marketo", "retry_for", "duration, 1m..30d", "72h",
     "how long an event is tried before it becomes a dead letter",
     MKTO_CONFIG_KIND_DURATION, M, 30 * D, OF(retry_for_ms)},
    {"marketo", "connect_timeout", "duration, 100ms..1m", "10s",
     "time to connect to Marketo, TLS included; at most `timeout`",
     MKTO_CONFIG_KIND_DURATION, 100, M, OF(connect_timeout_ms)},
    {"marketo", "timeout", "duration, 1s..10m", "90s",
     "time for a whole call; Marketo was seen to take 90 s",
     MKTO_CONFIG_KIND_DURATION, S, 10 * M, OF(timeout_ms)},

    {"spool", "path", "absolute path", "/var/lib/marketo",
     "directory of the spool; on a local disk",
     MKTO_CONFIG_KIND_PATH, 0, 0, CONF(spool_path)},
    {"spool", "max_size", "size, 1M..16T", "2G",
     "size of the spool over which new events are answered 503",
     MKTO_CONFIG_KIND_SIZE, MB, 16 * TB, CONF(spool_max_size)},
    {"spool", "keep_free", "percent, 0%..90%, or size, 0..16T", "5%",
     "free space of the file system under which new events are answered 503",
     MKTO_CONFIG_KIND_KEEP_FREE, 0, 16 * TB, CONF(spool_keep_free)},

    {"courier", "socket", "absolute path, at most 107 bytes", "<path of the spool>/courier.sock",
     "socket between web server and courier",
     MKTO_CONFIG_KIND_PATH, 0, 0, CONF(socket)},
    {"courier", "linger", "duration, 0..10m", "10s",
     "how long a spawned courier goes on delivering when the last server has gone",
     MKTO_CONFIG_KIND_DURATION, 0, 10 * M, CONF(linger_ms)},
};
/* clang-format on */

const struct mkto_config_key *mkto_config_keys(size_t *count)
{
    *count = sizeof(keys) / sizeof(keys[0]);
    return keys;
}
