/* mkto_map: what identify and group become, for SOAP and for REST. */
#include "map_text.h"

#define MADE_DIGITS "93ead199a98133a1419aeca5012ae720"

/* traits of an identify with an email as userId, as SOAP fields less the UserId at the end */
static const char *soap_fields(const char *traits)
{
    struct mkto_delivery delivery =
        map(MKTO_CALL_IDENTIFY, MKTO_API_SOAP,
            apr_psprintf(pool, "{\"anonymousId\":\"a\",\"traits\":{\"email\":\"e@x.org\"%s%s}}",
                         traits[0] == '\0' ? "" : ",", traits));
    assert_int_equal(delivery.kind, MKTO_DELIVERY_LEAD);
    assert_string_equal(delivery.lead.email, "e@x.org");
    return fields_text(&delivery);
}

struct row {
    const char *traits;
    const char *fields;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(soap_fields(rows[i].traits), rows[i].fields);
    }
}

#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof((rows)[0]))

static void check_lead(enum mkto_api api, const char *body, const char *email, const char *cookie,
                       const char *fields)
{
    struct mkto_delivery delivery = map(MKTO_CALL_IDENTIFY, api, body);
    assert_int_equal(delivery.kind, MKTO_DELIVERY_LEAD);
    assert_int_equal(delivery.api, api);
    assert_string_equal(delivery.lead.email, email);
    assert_string_equal(fields_text(&delivery), fields);
    assert_true(delivery.lead.cookie_made == (cookie == NULL));
    if (cookie != NULL) {
        assert_string_equal(delivery.lead.cookie, cookie);
    }
}

static void test_product_examples(void **state)
{
    (void)state;
    const char *java = "{\"userId\":\"hj2kf92ds212\",\"traits\":{\"email\":\"tom@example.com\","
                       "\"name\":\"Tom Smykowski\"}}";
    check_lead(MKTO_API_SOAP, java, "tom@example.com", NULL,
               "FirstName=Tom|LastName=Smykowski|UserId=hj2kf92ds212");
    check_lead(MKTO_API_REST, java, "tom@example.com", NULL,
               "firstName=Tom|lastName=Smykowski|userId=hj2kf92ds212");

    const char *ruby = "{\"userId\":\"019mr8mf4r\",\"traits\":{\"email\":\"Jake@segment.com\","
                       "\"firstName\":\"Jake\",\"lastName\":\"Peterson\"},"
                       "\"context\":{\"Marketo\":{\"marketoCookie\":\"" COOKIE "\"}}}";
    check_lead(MKTO_API_SOAP, ruby, "Jake@segment.com", COOKIE,
               "FirstName=Jake|LastName=Peterson|UserId=019mr8mf4r");
    check_lead(MKTO_API_REST, ruby, "Jake@segment.com", COOKIE,
               "firstName=Jake|lastName=Peterson|userId=019mr8mf4r");

    const char *browser = "{\"userId\":\"1234\",\"traits\":{\"email\":\"example@example.com\","
                          "\"name\":\"Jake Peterson\",\"company\":\"Segment\","
                          "\"favoriteColor\":\"Blue\"}}";
    check_lead(MKTO_API_SOAP, browser, "example@example.com", NULL,
               "FirstName=Jake|LastName=Peterson|Company=Segment|FavoriteColor=Blue|UserId=1234");
    check_lead(MKTO_API_REST, browser, "example@example.com", NULL,
               "firstName=Jake|lastName=Peterson|company=Segment|favoriteColor=Blue|userId=1234");

    const char *casing = "{\"userId\":\"e@x.org\",\"traits\":{\"secondFavoriteColor\":\"a\","
                         "\"second_favorite_color\":\"b\",\"someTrait\":\"c\"}}";
    check_lead(MKTO_API_SOAP, casing, "e@x.org", NULL,
               "SecondFavoriteColor=a|Second_favorite_color=b|SomeTrait=c|UserId=e@x.org");
    check_lead(MKTO_API_REST, casing, "e@x.org", NULL,
               "secondFavoriteColor=a|second_favorite_color=b|someTrait=c|userId=e@x.org");
}

static void test_values(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"", ""},
        {"\"a\":\"x\",\"b\":5,\"c\":-1.50e3,\"d\":true,\"e\":false,\"f\":null,\"g\":\"\"",
         "A=x|B=#5|C=#-1.50e3|D=?true|E=?false|G="},
        {"\"a\":{\"b\":1},\"c\":[1,2],\"d\":[],\"e\":{}", "-4"},
        {"\"renewedAt\":\"2014-05-13T16:53:20.000Z\",\"day\":\"2016-01-01\"",
         "RenewedAt=2014-05-13T16:53:20.000Z|Day=2016-01-01"},
        {"\"a\":\"x\\u0001y\\u001f\\t\\n\\uffff\\ufffe\\ufffd\"",
         "A=x\xef\xbf\xbdy\xef\xbf\xbd\t\n\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"a\":\"\\ud83d\\ude00 \xc3\xa9\"", "A=\xf0\x9f\x98\x80 \xc3\xa9"},
        {"\"\":\"x\",\"a\\nb\":\"y\"", "-2"},
        {"\"plan\":\"a\",\"Plan\":\"b\"", "Plan=b"},
        {"\"Plan\":\"b\",\"x\":1,\"plan\":\"a\"", "Plan=a|X=#1"},
    };
    CHECK_ROWS(rows);
}

/* However many there are: the order in which names came, none twice, the later value. */
static void test_many_traits(void **state)
{
    (void)state;
    for (int count = 1; count <= 120; count++) {
        const char *traits = "\"plan\":\"a\"";
        const char *fields = "Plan=b";
        for (int i = 1; i <= count; i++) {
            traits = apr_psprintf(pool, "%s,\"m%d\":\"old\"", traits, i);
            fields = apr_psprintf(pool, "%s|M%d=%s", fields, i, i == count ? "new" : "old");
        }
        traits = apr_psprintf(pool, "%s,\"Plan\":\"b\",\"M%d\":\"new\"", traits, count);
        assert_string_equal(soap_fields(traits), fields);
    }
}

static void test_names_of_people(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"\"name\":\"Tom\"", "FirstName=Tom"},
        {"\"name\":\"  Tom  van der Smykowski \"", "FirstName=Tom|LastName=van der Smykowski"},
        {"\"name\":\"   \"", ""},
        {"\"name\":5", "-1"},
        {"\"name\":null", ""},
        {"\"NAME\":\"Tom S\"", "FirstName=Tom|LastName=S"},
        {"\"name\":\"Tom S\",\"firstName\":\"Thomas\"", "LastName=S|FirstName=Thomas"},
        {"\"firstName\":\"Thomas\",\"name\":\"Tom S\"", "FirstName=Thomas|LastName=S"},
        {"\"name\":\"Tom S\",\"last_name\":\"X\"", "FirstName=Tom|LastName=X"},
        {"\"name\":\"Tom S\",\"firstName\":\"A\",\"lastName\":\"B\"", "FirstName=A|LastName=B"},
        {"\"name\":\"Tom S\",\"firstName\":null", "FirstName=Tom|LastName=S"},
        {"\"name\":\"Tom S\",\"firstName\":\"\"", "LastName=S|FirstName="},
        {"\"first_name\":\"v\",\"firstName\":\"e\"", "FirstName=e"},
        {"\"firstName\":\"e\",\"first_name\":\"v\"", "FirstName=e"},
        {"\"First Name\":\"v\",\"first-name\":\"w\"", "FirstName=w"},
        {"\"firstName\":{\"a\":1}", "-1"},
    };
    CHECK_ROWS(rows);
}

static void test_reserved(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"\"phone\":\"1\",\"phones\":[\"2\",\"3\"]", "Phone=1"},
        {"\"phones\":[\"2\",\"3\"],\"phone\":\"1\"", "Phone=1"},
        {"\"phones\":[\"2\",\"3\"]", "Phone=2"},
        {"\"phones\":[]", ""},
        {"\"phones\":[{\"a\":1}]", "-1"},
        {"\"title\":\"CEO\",\"website\":\"x.org\",\"industry\":\"IT\",\"employees\":7",
         "Title=CEO|Website=x.org|Industry=IT|NumberOfEmployees=#7"},
        {"\"birthday\":\"1980-02-29\"", "DateofBirth=1980-02-29"},
        {"\"birthday\":\"1980-02-29T00:00:00Z\"", "DateofBirth=1980-02-29"},
        {"\"birthday\":320630400", "DateofBirth=1980-02-29"},
        {"\"birthday\":\"1399999999000\"", "DateofBirth=2014-05-13"},
        {"\"birthday\":\"29.2.1980\"", "-1"},
        {"\"birthday\":\"1980-02-29x\"", "-1"},
        {"\"birthday\":true", "-1"},
        {"\"dateOfBirth\":\"1980-02-29T01:02:03\"", "DateofBirth=1980-02-29"},
        {"\"createdAt\":\"2014-05-13T16:53:20Z\"", "CreatedAt=2014-05-13T16:53:20Z"},
        {"\"createdAt\":1400000000", "CreatedAt=2014-05-13T16:53:20+00:00"},
        {"\"createdAt\":1400000000000", "CreatedAt=2014-05-13T16:53:20+00:00"},
        {"\"createdAt\":1400000000.5", "CreatedAt=2014-05-13T16:53:20+00:00"},
        {"\"created_at\":\"1400000000\"", "Created_at=2014-05-13T16:53:20+00:00"},
        {"\"createdAt\":\"14000\"", "CreatedAt=14000"},
        {"\"createdAt\":1e9", "CreatedAt=#1e9"},
        {"\"createdAt\":31557599999", "CreatedAt=2970-01-07T23:59:59+00:00"},
        {"\"createdAt\":31557600000", "CreatedAt=1971-01-01T06:00:00+00:00"},
        {"\"createdAt\":-5", "CreatedAt=#-5"},
        {"\"id\":\"x\",\"gender\":\"f\"", "-2"},
        {"\"EMail\":\"other@x.org\",\"e-mail\":5", "-1"},
        {"\"avatar\":\"a\",\"username\":\"u\",\"age\":30,\"description\":\"d\"",
         "Avatar=a|Username=u|Age=#30|Description=d"},
        {"\"userId\":\"t\"", "UserId=t"},
    };
    CHECK_ROWS(rows);
}

static void test_objects(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"\"company\":{\"name\":\"Initech\",\"industry\":\"IT\",\"employee_count\":\"50\","
         "\"plan\":\"x\",\"id\":null}",
         "Company=Initech|Industry=IT|NumberOfEmployees=50-1"},
        {"\"company\":{\"employees\":3},\"industry\":\"own\"", "NumberOfEmployees=#3|Industry=own"},
        {"\"industry\":\"own\",\"company\":{\"industry\":\"its\"}", "Industry=own"},
        {"\"company\":[\"x\"]", "-1"},
        {"\"company\":5", "Company=#5"},
        {"\"address\":{\"street\":\"1 Main St\",\"city\":\"SF\",\"state\":\"CA\","
         "\"country\":\"USA\",\"postal_code\":\"94103\",\"geo\":{\"lat\":1}}",
         "Address=1 Main St|City=SF|State=CA|Country=USA|PostalCode=94103-1"},
        {"\"address\":{\"zip\":94103},\"city\":\"Own\"", "PostalCode=#94103|City=Own"},
        {"\"city\":\"Own\",\"address\":{\"city\":\"Its\"}", "City=Own"},
        {"\"address\":{\"postalCode\":\"1\",\"zip\":\"2\"}", "PostalCode=2"},
        {"\"address\":{\"City\":\"v\",\"city\":\"e\",\"CITY\":\"w\"}", "City=e"},
        {"\"address\":\"1 Main St, SF\"", "Address=1 Main St, SF"},
    };
    CHECK_ROWS(rows);
}

static void test_fields_section(void **state)
{
    (void)state;
    const struct mkto_config_field fields[] = {
        {.trait = "plan", .name = "Plan_Name__c"},
        {.trait = "secret", .name = ""},
        {.trait = "firstName", .name = "Given"},
        {.trait = "company", .name = "Firm"},
        {.trait = "company.plan", .name = "Firm_Plan"},
        {.trait = "address.city", .name = "Town"},
        {.trait = "address.geo.lat", .name = "Latitude"},
        {.trait = "gender", .name = "Gender__c"},
        {.trait = "id", .name = "Their_Id"},
        {.trait = "email", .name = "Work_Email"},
        {.trait = "boss", .name = "Email"},
        {.trait = "tags.first", .name = "Tag"},
        {.trait = "list", .name = ""},
        {.trait = "userId", .name = "Customer_Id"},
        {.trait = "name", .name = "Full_Name"},
        {.trait = "birthday", .name = "Born"},
    };
    subscription.fields = fields;
    subscription.field_count = sizeof(fields) / sizeof(fields[0]);
    const struct row rows[] = {
        {"\"plan\":\"p\",\"secret\":\"s\"", "Work_Email=e@x.org|Plan_Name__c=p-1"},
        {"\"firstName\":\"J\"", "Work_Email=e@x.org|Given=J"},
        {"\"first_name\":\"J\"", "Work_Email=e@x.org|Given=J"},
        {"\"name\":\"J P\"", "Work_Email=e@x.org|Given=J|LastName=P|Full_Name=J P"},
        {"\"company\":\"I\"", "Work_Email=e@x.org|Firm=I"},
        {"\"company\":{\"name\":\"I\",\"plan\":\"x\"}", "Work_Email=e@x.org|Firm=I|Firm_Plan=x"},
        {"\"address\":{\"city\":\"c\",\"geo\":{\"lat\":1,\"lon\":2}}",
         "Work_Email=e@x.org|Town=c|Latitude=#1"},
        {"\"gender\":\"f\",\"id\":7", "Work_Email=e@x.org|Gender__c=f|Their_Id=#7"},
        {"\"boss\":\"b@x.org\"", "Work_Email=e@x.org-1"},
        {"\"tags\":{\"first\":\"a\",\"second\":\"b\"}", "Work_Email=e@x.org|Tag=a"},
        {"\"tags\":{\"second\":\"b\"},\"list\":[1]", "Work_Email=e@x.org-2"},
        {"\"birthday\":\"long ago\"", "Work_Email=e@x.org|Born=long ago"},
    };
    CHECK_ROWS(rows);
    maps(MKTO_CALL_IDENTIFY, MKTO_API_REST,
         "{\"userId\":\"u\",\"traits\":{\"email\":\"e@x.org\",\"userId\":\"t\"}}",
         "Work_Email=e@x.org|Customer_Id=u");
}

static void test_user_id(void **state)
{
    (void)state;
    maps(MKTO_CALL_IDENTIFY, MKTO_API_SOAP,
         "{\"userId\":\"u\",\"traits\":{\"email\":\"e@x.org\",\"userId\":\"t\",\"id\":\"u\"}}",
         "UserId=u");
    maps(MKTO_CALL_IDENTIFY, MKTO_API_SOAP, "{\"userId\":17,\"traits\":{\"email\":\"e@x.org\"}}",
         "UserId=17");
    struct mkto_delivery delivery =
        map(MKTO_CALL_IDENTIFY, MKTO_API_REST,
            "{\"anonymousId\":\"a\",\"traits\":{\"email\":\"e@x.org\"}}");
    assert_null(delivery.lead.user_id);
    const struct mkto_config_field none = {.trait = "userId", .name = ""};
    subscription.fields = &none;
    subscription.field_count = 1;
    delivery = map(MKTO_CALL_IDENTIFY, MKTO_API_REST, "{\"userId\":\"e@x.org\"}");
    assert_string_equal(delivery.lead.user_id, "e@x.org");
    assert_int_equal(delivery.lead.field_count, 0);
}

static void test_full_pascal(void **state)
{
    (void)state;
    subscription.naming = MKTO_NAMING_FULL_PASCAL;
    assert_string_equal(soap_fields("\"second_favorite_color\":\"b\",\"first_name\":\"J\""),
                        "SecondFavoriteColor=b|FirstName=J");
}

/* Who it is: the given cookies, the request's, one made from userId, from the anonymous id. */
static void test_identity(void **state)
{
    (void)state;
#define GIVEN(place, token)                                                                        \
    "\"" place "\":{\"Marketo\":{\"marketoCookie\":\"id:561-HYG-937&token:_mch-" token "\"}}"
    const char *by_user = mkto_map_made_token(&subscription, MKTO_SLICE_LIT("u"), pool);
    const char *by_anonymous = mkto_map_made_token(&subscription, MKTO_SLICE_LIT("a"), pool);
    /* clang-format off */
    const struct {
        const char *body;
        const char *request; /* the request's cookie */
        const char *token;   /* NULL: no cookie at all */
        bool made;
    } rows[] = {
        {"{\"userId\":\"u\"," GIVEN("integrations", "i.org-1-11111") "," GIVEN("context", "c.org-1-22222") "}",
         COOKIE, "_mch-i.org-1-11111", false},
        {"{\"userId\":\"u\"," GIVEN("context", "c.org-1-22222") "}", COOKIE, "_mch-c.org-1-22222", false},
        {"{\"userId\":\"u\",\"context\":{\"Marketo\":{\"marketoCookie\":\"x\"}}}", COOKIE,
         "_mch-marketo.com-1374552656411-90718", false},
        {"{\"userId\":\"u\"}", COOKIE, "_mch-marketo.com-1374552656411-90718", false},
        {"{\"userId\":\"u\"}", "rubbish", by_user, true},
        {"{\"userId\":\"u\",\"anonymousId\":\"a\"}", NULL, by_user, true},
        {"{\"anonymousId\":\"a\",\"sessionId\":\"s\"}", NULL, by_anonymous, true},
        {"{\"sessionId\":\"a\"}", NULL, by_anonymous, true},
        {"{}", NULL, NULL, false},
    };
    /* clang-format on */
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        envelope.cookie = mkto_slice_str(rows[i].request);
        const char *body = apr_pstrcat(pool, "{\"traits\":{\"email\":\"e@x.org\"}",
                                       rows[i].body[1] == '}' ? "" : ",", rows[i].body + 1, NULL);
        struct mkto_delivery delivery = map(MKTO_CALL_IDENTIFY, MKTO_API_SOAP, body);
        assert_true(delivery.lead.cookie_made == rows[i].made);
        if (rows[i].token == NULL) {
            assert_null(delivery.lead.cookie);
            continue;
        }
        assert_string_equal(delivery.lead.cookie,
                            apr_pstrcat(pool, "id:561-HYG-937&token:", rows[i].token, NULL));
    }
}

/* A given value comes out byte for byte when it was written as Munchkin does, and so otherwise. */
static void test_given_cookie(void **state)
{
    (void)state;
    const struct {
        const char *given;
        const char *cookie;
    } rows[] = {
        {COOKIE, COOKIE},
        {"id:other-id&token:_mch-k6.io-bf2d5c251532b11a405661707033a82",
         "id:561-HYG-937&token:_mch-k6.io-bf2d5c251532b11a405661707033a82"},
        {"token=_mch-x.org-1-22222&id=ABC", "id:561-HYG-937&token:_mch-x.org-1-22222"},
        {"id%3A561-HYG-937%26token%3A_mch-x.org-1-22222",
         "id:561-HYG-937&token:_mch-x.org-1-22222"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct mkto_delivery delivery =
            map(MKTO_CALL_IDENTIFY, MKTO_API_SOAP,
                apr_psprintf(pool,
                             "{\"userId\":\"e@x.org\",\"context\":{\"Marketo\":"
                             "{\"marketoCookie\":\"%s\"}}}",
                             rows[i].given));
        assert_string_equal(delivery.lead.cookie, rows[i].cookie);
        assert_false(delivery.lead.cookie_made);
    }
}

static void test_made_token(void **state)
{
    (void)state;
    /* SHA-1("561-HYG-937:019mr8mf4r"), cut to 32 digits */
    const char *token = mkto_map_made_token(&subscription, MKTO_SLICE_LIT("019mr8mf4r"), pool);
    assert_string_equal(token, "_mch-marketo.com-" MADE_DIGITS);
    subscription.host = "www.example.co.uk:8443";
    token = mkto_map_made_token(&subscription, MKTO_SLICE_LIT("019mr8mf4r"), pool);
    assert_string_equal(token, "_mch-example.co.uk-" MADE_DIGITS);
    struct mkto_cookie cookie;
    assert_int_equal(
        mkto_cookie_parse(mkto_slice_str(apr_pstrcat(pool, "id:x&token:", token, NULL)), &cookie),
        0);
    envelope.host = MKTO_SLICE_LIT("shop.example.com");
    struct mkto_delivery delivery =
        map(MKTO_CALL_IDENTIFY, MKTO_API_REST,
            "{\"userId\":\"019mr8mf4r\",\"traits\":{\"email\":\"e@x.org\"}}");
    assert_string_equal(delivery.lead.cookie,
                        "id:561-HYG-937&token:_mch-example.co.uk-" MADE_DIGITS);
}

static void test_no_email(void **state)
{
    (void)state;
    const char *body = "{\"userId\":\"u\",\"traits\":{\"plan\":\"p\"}}";
    maps(MKTO_CALL_IDENTIFY, MKTO_API_SOAP, body, "rejected no_email");
    maps(MKTO_CALL_IDENTIFY, MKTO_API_REST, body, "rejected no_email");
    envelope.cookie = MKTO_SLICE_LIT(COOKIE);
    maps(MKTO_CALL_IDENTIFY, MKTO_API_REST, body, "rejected no_email");
    struct mkto_delivery delivery = map(MKTO_CALL_IDENTIFY, MKTO_API_SOAP, body);
    assert_string_equal(fields_text(&delivery), "Plan=p|UserId=u");
    assert_null(delivery.lead.email);
    assert_string_equal(delivery.lead.cookie, COOKIE);
}

static void test_value_limit(void **state)
{
    (void)state;
    char *value = apr_palloc(pool, MKTO_MAP_VALUE_MAX + 2);
    memset(value, 'v', MKTO_MAP_VALUE_MAX + 1);
    value[MKTO_MAP_VALUE_MAX + 1] = '\0';
    const char *fields = soap_fields(apr_psprintf(pool, "\"a\":\"%s\"", value + 1));
    assert_int_equal(strlen(fields), MKTO_MAP_VALUE_MAX + 2);
    assert_string_equal(soap_fields(apr_psprintf(pool, "\"a\":\"%s\"", value)), "-1");
}

/* 512 fields and no more: only rows of [fields] for parts of objects get there, an object having at
 * most 256 members. */
static void test_field_limit(void **state)
{
    (void)state;
    enum { EACH = 180, OBJECTS = 3 };
    struct mkto_config_field *rows = apr_pcalloc(pool, EACH * OBJECTS * sizeof(*rows));
    const char *traits = "";
    for (int object = 0; object < OBJECTS; object++) {
        const char *members = "";
        for (int i = 0; i < EACH; i++) {
            members = apr_psprintf(pool, "%s%s\"k%d\":1", members, i == 0 ? "" : ",", i);
            rows[object * EACH + i] = (struct mkto_config_field){
                .trait = apr_psprintf(pool, "o%d.k%d", object, i),
                .name = apr_psprintf(pool, "F%d_%d", object, i),
            };
        }
        traits =
            apr_psprintf(pool, "%s%s\"o%d\":{%s}", traits, object == 0 ? "" : ",", object, members);
    }
    subscription.fields = rows;
    subscription.field_count = MKTO_LEAD_FIELDS_MAX;
    const char *body = apr_psprintf(pool,
                                    "{\"anonymousId\":\"a\",\"traits\":{\"email\":\"e@x.org\","
                                    "%s}}",
                                    traits);
    struct mkto_delivery delivery = map(MKTO_CALL_IDENTIFY, MKTO_API_SOAP, body);
    assert_int_equal(delivery.lead.field_count, MKTO_LEAD_FIELDS_MAX);
    assert_int_equal(delivery.dropped, 0);
    subscription.field_count = EACH * OBJECTS;
    delivery = map(MKTO_CALL_IDENTIFY, MKTO_API_SOAP, body);
    assert_int_equal(delivery.lead.field_count, MKTO_LEAD_FIELDS_MAX);
    assert_int_equal(delivery.dropped, EACH * OBJECTS - MKTO_LEAD_FIELDS_MAX);
}

static void test_group(void **state)
{
    (void)state;
    const struct row rows[] = {
        {"\"name\":\"Initech\",\"website\":\"i.org\",\"industry\":\"IT\",\"employees\":50,"
         "\"phone\":\"1\",\"plan\":\"p\"",
         "Company=Initech|Website=i.org|Industry=IT|NumberOfEmployees=#50|MainPhone=1-1"},
        {"\"employee_count\":\"9\",\"annualRevenue\":1.5,\"sic_code\":\"7\",\"site\":\"HQ\"",
         "NumberOfEmployees=9|AnnualRevenue=#1.5|SICCode=7|Site=HQ"},
        {"\"address\":{\"street\":\"s\",\"city\":\"c\",\"state\":\"t\",\"country\":\"y\",\"zip\":"
         "\"z\","
         "\"planet\":\"p\"},\"billing_city\":\"b\"",
         "BillingStreet=s|BillingCity=c|BillingState=t|BillingCountry=y|BillingPostalCode=z-1"},
        {"\"plan\":\"p\"", "filtered no_company"},
        {"\"name\":null", "filtered no_company"},
        {"\"name\":{}", "filtered no_company"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const char *body = apr_psprintf(
            pool, "{\"userId\":\"u\",\"groupId\":\"g\",\"traits\":{%s}}", rows[i].traits);
        maps(MKTO_CALL_GROUP, MKTO_API_SOAP, body, rows[i].fields);
    }
    maps(MKTO_CALL_GROUP, MKTO_API_SOAP, "{\"userId\":\"u\",\"groupId\":\"g\"}",
         "filtered no_company");
    maps(
        MKTO_CALL_GROUP, MKTO_API_REST,
        "{\"userId\":\"u\",\"traits\":{\"name\":\"I\",\"sicCode\":5,\"address\":{\"city\":\"c\"}}}",
        "company=I|sicCode=#5|billingCity=c");
    const struct mkto_config_field fields[] = {
        {.trait = "plan", .name = "Persons_Plan"},
        {.trait = "company.plan", .name = "Firm_Plan"},
        {.trait = "company.address.planet", .name = "Planet"},
    };
    subscription.fields = fields;
    subscription.field_count = 3;
    maps(MKTO_CALL_GROUP, MKTO_API_SOAP,
         "{\"userId\":\"u\",\"traits\":{\"plan\":\"p\",\"address\":{\"planet\":\"Mars\"}}}",
         "Firm_Plan=p|Planet=Mars");
}

/* Whose company it is. */
static void test_group_identity(void **state)
{
    (void)state;
    struct mkto_delivery delivery =
        map(MKTO_CALL_GROUP, MKTO_API_REST,
            "{\"userId\":\"u\",\"traits\":{\"name\":\"I\",\"email\":\"info@i.org\"},"
            "\"context\":{\"traits\":{\"email\":\"e@x.org\"}}}");
    assert_string_equal(delivery.lead.email, "e@x.org");
    assert_string_equal(delivery.lead.user_id, "u");
    delivery =
        map(MKTO_CALL_GROUP, MKTO_API_REST, "{\"userId\":\"u@x.org\",\"traits\":{\"name\":\"I\"}}");
    assert_string_equal(delivery.lead.email, "u@x.org");
    envelope.cookie = MKTO_SLICE_LIT(COOKIE);
    delivery =
        map(MKTO_CALL_GROUP, MKTO_API_REST, "{\"userId\":\"u\",\"traits\":{\"name\":\"I\"}}");
    assert_null(delivery.lead.email);
    assert_string_equal(delivery.lead.cookie, COOKIE);
    assert_false(delivery.lead.cookie_made);
}

static void test_alias(void **state)
{
    (void)state;
    maps(MKTO_CALL_ALIAS, MKTO_API_REST, "{\"userId\":\"u\",\"previousId\":\"p\"}",
         "filtered alias");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_pool, drop_pool)

int main(void)
{
    apr_initialize();
    const struct CMUnitTest tests[] = {
        TEST(test_product_examples), TEST(test_values),
        TEST(test_many_traits),      TEST(test_names_of_people),
        TEST(test_reserved),         TEST(test_objects),
        TEST(test_fields_section),   TEST(test_user_id),
        TEST(test_full_pascal),      TEST(test_identity),
        TEST(test_given_cookie),     TEST(test_made_token),
        TEST(test_no_email),         TEST(test_value_limit),
        TEST(test_field_limit),      TEST(test_group),
        TEST(test_group_identity),   TEST(test_alias),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    apr_terminate();
    return failed;
}
