/*
 * mkto_mask: text of others, without the e-mail addresses in it. Marketo repeats addresses in what
 * it says; its words are kept with events and dead letters and shown on terminals, and one call
 * carries many people.
 */
#ifndef MKTO_MASK_H
#define MKTO_MASK_H

/* Overwrites each word that has an '@' in it with '*', in place. A word ends at white space,
 * quotes, brackets and commas. NULL is left alone. */
void mkto_mask_addresses(char *text);

#endif
