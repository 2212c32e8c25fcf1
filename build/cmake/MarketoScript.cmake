# Run by cmake -P, with INPUT (the minified marketo.js) and OUTPUT (mkto_script.c): writes the bytes as an array of C.
file(READ ${INPUT} bytes HEX)
file(SHA256 ${INPUT} digest)
string(SUBSTRING ${digest} 0 32 etag)
string(REGEX REPLACE "(................................)" "\\1\n" bytes ${bytes})
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes ${bytes})
file(WRITE ${OUTPUT} "/* Made by build/cmake/MarketoScript.cmake of shared/web/marketo.js. */
#include \"mkto_script.h\"

const unsigned char mkto_script[] = {
${bytes}
};
const size_t mkto_script_len = sizeof(mkto_script);
const char mkto_script_etag[] = \"\\\"${etag}\\\"\";
")
