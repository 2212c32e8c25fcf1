# MKTO_BUILD orders builds: a courier makes room for a newer one (shared/wire/mkto_frame.h). SOURCE_DATE_EPOCH, else the time
# of the last commit, else of the configure run.
if(DEFINED ENV{SOURCE_DATE_EPOCH})
    set(stamp $ENV{SOURCE_DATE_EPOCH})
else()
    execute_process(COMMAND git -C ${CMAKE_SOURCE_DIR} log -1 --format=%ct
        OUTPUT_VARIABLE stamp OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
    if(failed OR NOT stamp)
        string(TIMESTAMP stamp %s UTC)
    endif()
endif()
set(MKTO_BUILD ${stamp})
configure_file(${CMAKE_SOURCE_DIR}/build/cmake/mkto_build.h.in ${CMAKE_BINARY_DIR}/generated/mkto_build.h @ONLY)
