# Run by cmake -P, with INPUT (a text), OUTPUT (a .c file), HEADER (that declares what stands in it) and NAME: writes the bytes as
# an array NAME of C, their number as NAME_len, and with ETAG=ON a strong ETag of theirs as NAME_etag.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "(................................)" "\\1\n" bytes ${bytes})
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes ${bytes})
set(text "/* Made by build/cmake/MarketoBytes.cmake. */
#include \"${HEADER}\"

const unsigned char ${NAME}[] = {
${bytes}
};
const size_t ${NAME}_len = sizeof(${NAME});
")
if(ETAG)
    file(SHA256 ${INPUT} digest)
    string(SUBSTRING ${digest} 0 32 etag)
    string(APPEND text "const char ${NAME}_etag[] = \"\\\"${etag}\\\"\";\n")
endif()
file(WRITE ${OUTPUT} "${text}")
