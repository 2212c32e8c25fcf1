# Warnings, sanitizers and hardening that every target of ours is built with.
option(MARKETO_WERROR "Treat warnings as errors (CI)" OFF)
set(MARKETO_SANITIZE "" CACHE STRING "Sanitizers, as for -fsanitize= (address,undefined)")

add_compile_options(
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla -Wundef
    -fno-strict-aliasing -fstack-protector-strong -fno-omit-frame-pointer)
if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
    add_compile_options(-Wlogical-op -Wduplicated-cond)
endif()
if(MARKETO_WERROR)
    add_compile_options(-Werror)
endif()
if(MARKETO_SANITIZE)
    add_compile_options(-fsanitize=${MARKETO_SANITIZE} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${MARKETO_SANITIZE})
elseif(CMAKE_BUILD_TYPE MATCHES "Rel")
    add_compile_definitions(_FORTIFY_SOURCE=2)
endif()
add_link_options(-Wl,--as-needed -Wl,-z,relro,-z,now)
add_compile_definitions(_GNU_SOURCE)
