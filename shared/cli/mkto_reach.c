#include "mkto_reach.h"

#include <curl/curl.h>
#include <stddef.h>

int mkto_reach(const char *url, const char *ca_file, int64_t timeout_ms, struct mkto_error *err)
{
    CURL *curl = curl_easy_init();
    CURLcode rc;

    if (curl == NULL) {
        return mkto_error_set(err, "out of memory");
    }
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_CONNECT_ONLY, 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, ""); /* as the courier connects: directly */
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(curl, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    if (ca_file != NULL) {
        curl_easy_setopt(curl, CURLOPT_CAINFO, ca_file);
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
    }
    rc = curl_easy_perform(curl);
    curl_easy_cleanup(curl);
    return rc == CURLE_OK ? 0 : mkto_error_set(err, "%s", curl_easy_strerror(rc));
}
