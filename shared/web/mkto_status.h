/*
 * mkto_status: the status page, as both servers show it where marketo_status stands: one document,
 * its style and its script, which asks the same place for the courier's status as JSON.
 *
 * The three are apart, and not in one file, so that the page works under a Content-Security-Policy
 * of 'self', the site's own as well as the one that it is sent with: no hash of an inline script
 * has to be kept in step with a policy that somebody else writes.
 *
 * The build makes mkto_status.c of the three files in status/. All of it is static and
 * constant; nobody frees it.
 */
#ifndef MKTO_STATUS_H
#define MKTO_STATUS_H

#include <stddef.h>

extern const unsigned char mkto_status_html[]; /* UTF-8, no terminating NUL; so are the others */
extern const size_t mkto_status_html_len;
extern const unsigned char mkto_status_css[];
extern const size_t mkto_status_css_len;
extern const unsigned char mkto_status_js[];
extern const size_t mkto_status_js_len;

#endif
