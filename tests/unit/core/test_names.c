/* mkto_names: a table of traits and their names in both APIs, both namings, [fields]. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "mkto_names.h"
#include "mkto_names_table.h"

static apr_pool_t *pool;

static int make_pool(void **state)
{
    (void)state;
    apr_pool_create(&pool, NULL);
    return 0;
}

static int drop_pool(void **state)
{
    (void)state;
    apr_pool_destroy(pool);
    return 0;
}

struct row {
    const char *trait;
    const char *soap;
    const char *rest;
};

static void check_name(const char *got, const char *wanted)
{
    if (wanted == NULL) {
        assert_null(got);
        return;
    }
    assert_non_null(got);
    assert_string_equal(got, wanted);
}

static void check_rows(const struct row *rows, size_t count,
                       const struct mkto_subscription *subscription)
{
    for (size_t i = 0; i < count; i++) {
        struct mkto_slice trait = mkto_slice_str(rows[i].trait);
        check_name(mkto_names_field(trait, MKTO_API_SOAP, subscription, pool), rows[i].soap);
        check_name(mkto_names_field(trait, MKTO_API_REST, subscription, pool), rows[i].rest);
    }
}

#define CHECK_ROWS(rows, subscription)                                                             \
    check_rows(rows, sizeof(rows) / sizeof((rows)[0]), subscription)

static void test_pascal(void **state)
{
    (void)state;
    /* clang-format off */
    const struct row rows[] = {
        /* The product text's own. */
        {"secondFavoriteColor", "SecondFavoriteColor", "secondFavoriteColor"},
        {"second_favorite_color", "Second_favorite_color", "second_favorite_color"},
        {"someTrait", "SomeTrait", "someTrait"},
        {"userId", "UserId", "userId"},
        {"favoriteColor", "FavoriteColor", "favoriteColor"},
        /* Standard fields. */
        {"firstName", "FirstName", "firstName"},
        {"FirstName", "FirstName", "firstName"},
        {"email", "Email", "email"},
        {"dateOfBirth", "DateofBirth", "dateOfBirth"},
        {"DateofBirth", "DateofBirth", "dateOfBirth"},
        {"sicCode", "SICCode", "sicCode"},
        {"SICCode", "SICCode", "sicCode"},
        {"anonymousIP", "AnonymousIP", "anonymousIP"},
        {"numberOfEmployees", "NumberOfEmployees", "numberOfEmployees"},
        {"jigsawContactId", "Marketo Jigsaw Contact Id", "jigsawContactId"},
        {"Marketo Jigsaw Contact Id", "Marketo Jigsaw Contact Id", "jigsawContactId"},
        /* Everything else. */
        {"first_name", "First_name", "first_name"},
        {"created_at", "Created_at", "created_at"},
        {"createdAt", "CreatedAt", "createdAt"},
        {"Lead_Round_Robin_ID__c", "Lead_Round_Robin_ID__c", "lead_Round_Robin_ID__c"},
        {"URL", "URL", "uRL"},
        {"x", "X", "x"},
        {"_private", "_private", "_private"},
        {"2nd", "2nd", "2nd"},
        {"favorite color", "Favorite color", "favorite color"},
        {"\xc3\xa9tat", "\xc3\xa9tat", "\xc3\xa9tat"},
        {"", NULL, NULL},
        {"a\nb", NULL, NULL},
        {"a\x7f", NULL, NULL},
        {"\xef\xbf\xbf", NULL, NULL},
        {"x\xef\xbf\xbd", "X\xef\xbf\xbd", "x\xef\xbf\xbd"},
    };
    /* clang-format on */
    CHECK_ROWS(rows, &(struct mkto_subscription){.naming = MKTO_NAMING_PASCAL});
}

static void test_full_pascal(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"second_favorite_color", "SecondFavoriteColor", "secondFavoriteColor"},
        {"secondFavoriteColor", "SecondFavoriteColor", "secondFavoriteColor"},
        {"Second Favorite-Color", "SecondFavoriteColor", "secondFavoriteColor"},
        {"__lead__score__", "LeadScore", "leadScore"},
        {"date_of_birth", "DateofBirth", "dateOfBirth"},
        {"postal_code", "PostalCode", "postalCode"},
        {"HTTP_status", "HTTPStatus", "hTTPStatus"},
        {"\xc3\xa9tat_civil", "\xc3\xa9tatCivil", "\xc3\xa9tatCivil"},
        {"2nd_car", "2ndCar", "2ndCar"},
        {"__", NULL, NULL},
        {"", NULL, NULL},
    };
    CHECK_ROWS(rows, &(struct mkto_subscription){.naming = MKTO_NAMING_FULL_PASCAL});
}

static void test_fields_win(void **state)
{
    (void)state;
    const struct mkto_config_field fields[] = {
        {.trait = "plan", .name = "Plan_Name__c"},   {.trait = "secret", .name = ""},
        {.trait = "firstName", .name = "givenName"}, {.trait = "address.city", .name = "Town"},
        {.trait = "plan", .name = "Plan__c"},
    };
    const struct row rows[] = {
        {"plan", "Plan__c", "Plan__c"}, /* the last row wins */
        {"secret", NULL, NULL},           {"firstName", "givenName", "givenName"},
        {"address.city", "Town", "Town"}, {"Plan", "Plan", "plan"}, /* exact trait name only */
    };
    CHECK_ROWS(rows, (&(struct mkto_subscription){.fields = fields, .field_count = 5}));
}

static void test_length(void **state)
{
    (void)state;
    const struct mkto_subscription plain = {.naming = MKTO_NAMING_PASCAL};
    char name[MKTO_NAME_MAX + 2];
    memset(name, 'x', sizeof(name));
    struct mkto_slice trait = {name, MKTO_NAME_MAX};
    const char *got = mkto_names_field(trait, MKTO_API_SOAP, &plain, pool);
    assert_int_equal(strlen(got), MKTO_NAME_MAX);
    assert_int_equal(got[0], 'X');
    trait.len++;
    assert_null(mkto_names_field(trait, MKTO_API_SOAP, &plain, pool));

    name[MKTO_NAME_MAX + 1] = '\0';
    struct mkto_config_field row = {.trait = "t", .name = name};
    const struct mkto_subscription mapped = {.fields = &row, .field_count = 1};
    assert_null(mkto_names_field(MKTO_SLICE_LIT("t"), MKTO_API_SOAP, &mapped, pool));
    row.name = name + 1;
    assert_non_null(mkto_names_field(MKTO_SLICE_LIT("t"), MKTO_API_SOAP, &mapped, pool));
}

static void test_standard(void **state)
{
    (void)state;
    assert_string_equal(mkto_names_standard("FirstName", MKTO_API_REST), "firstName");
    assert_string_equal(mkto_names_standard("FirstName", MKTO_API_SOAP), "FirstName");
    assert_string_equal(mkto_names_standard("DateofBirth", MKTO_API_REST), "dateOfBirth");
    assert_string_equal(mkto_names_standard("MarketoSocialGender", MKTO_API_REST), "gender");
    assert_null(mkto_names_standard("firstName", MKTO_API_REST));
    assert_null(mkto_names_standard("Plan", MKTO_API_REST));
}

/* "Raise the first letter", but for four fields, and the social ones with their prefix. */
static void test_table(void **state)
{
    (void)state;
    size_t odd = 0, social = 0;
    for (size_t i = 0; i < mkto_names_table_count; i++) {
        const struct mkto_names_pair *pair = &mkto_names_table[i];
        if (strncmp(pair->soap, "MarketoSocial", 13) == 0) {
            social++;
        } else if (strcmp(pair->rest + 1, pair->soap + 1) != 0) {
            odd++;
        }
    }
    assert_int_equal(mkto_names_table_count, 69);
    assert_int_equal(social, 26);
    assert_int_equal(odd, 4);
}

int main(void)
{
    apr_initialize();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pascal, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_full_pascal, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_fields_win, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_length, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_standard, make_pool, drop_pool),
        cmocka_unit_test_setup_teardown(test_table, make_pool, drop_pool),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
