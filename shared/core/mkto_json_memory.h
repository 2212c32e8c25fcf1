/*
 * mkto_json_memory: yajl's memory from a pool. For mkto_json*.c only: no other file sees yajl.
 */
#ifndef MKTO_JSON_MEMORY_H
#define MKTO_JSON_MEMORY_H

#include <apr_pools.h>
#include <yajl/yajl_common.h>

/* What yajl allocates lives as long as the pool; nothing need be freed. */
yajl_alloc_funcs mkto_json_memory(apr_pool_t *pool);

#endif
