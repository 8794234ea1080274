/* SPDX-License-Identifier: Apache-2.0
 * Graphs of kernels, each node behind the one before it, as streams capture them. An executable one has copies of all that its
 * nodes were given. */
#include "tests/fake_cuda/inside.h"

#include <stdlib.h>

struct CUgraphNode_st {
    CUgraph graph;
    CUgraphNode before;
    fake_launch launch;
    struct CUgraphNode_st *next;
};
struct CUgraph_st {
    struct CUgraph_st *next;
    CUcontext context; /* an executable one's */
    CUgraphNode first, last;
};

static CUgraph graphs, executables;

static CUgraph *find(CUgraph *list, const void *graph) {
    while (*list && *list != graph) list = &(*list)->next;
    return *list ? list : NULL;
}

static CUgraph graph_new(CUgraph *list) {
    CUgraph g = calloc(1, sizeof *g);
    if (!g) return NULL;
    g->next = *list;
    *list = g;
    fake_counts.graphs++;
    return g;
}

static void graph_remove(CUgraph *link) {
    CUgraph g = *link;
    *link = g->next;
    while (g->first) {
        CUgraphNode node = g->first;
        g->first = node->next;
        free(node);
    }
    free(g);
    fake_counts.graphs--;
}

static CUgraphNode node_new(CUgraph graph) {
    CUgraphNode node = calloc(1, sizeof *node);
    if (!node) return NULL;
    node->graph = graph;
    node->before = graph->last;
    *(graph->last ? &graph->last->next : &graph->first) = node;
    graph->last = node;
    return node;
}

CUgraph fake_graph_new(void) {
    return graph_new(&graphs);
}

CUresult fake_graph_add(CUgraph graph, const fake_launch *launch) {
    CUgraphNode node = node_new(graph);
    if (!node) return CUDA_ERROR_UNKNOWN;
    node->launch = *launch;
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags) {
    ENTER(cuGraphInstantiateWithFlags);
    if (fault) return fault;
    CUcontext context = fake_current("cuGraphInstantiate");
    if (!context) return CUDA_ERROR_INVALID_CONTEXT;
    if (flags || !find(&graphs, graph))
        return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuGraphInstantiate: no such graph, or flags %llu",
                           flags);
    CUgraph copy = graph_new(&executables);
    if (!copy) return CUDA_ERROR_UNKNOWN;
    copy->context = context;
    for (CUgraphNode node = graph->first; node; node = node->next) {
        CUgraphNode made = node_new(copy);
        if (!made) return CUDA_ERROR_UNKNOWN;
        made->launch = node->launch;
    }
    *exec = (CUgraphExec)copy;
    return CUDA_SUCCESS;
}

FAKE_API CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream) {
    ENTER(cuGraphLaunch);
    if (fault) return fault;
    CUgraph graph = (CUgraph)exec;
    if (!find(&executables, graph) || fake_current("cuGraphLaunch") != graph->context)
        return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuGraphLaunch: no such graph of the current context");
    CUresult result = CUDA_SUCCESS;
    for (CUgraphNode node = graph->first; !result && node; node = node->next) {
        fake_op op = {.kind = FAKE_LAUNCH, .launch = node->launch};
        result = fake_submit(stream, "cuGraphLaunch", &op);
    }
    return result;
}

FAKE_API CUresult cuGraphExecDestroy(CUgraphExec exec) {
    ENTER(cuGraphExecDestroy);
    CUgraph *link = find(&executables, exec);
    if (!link) return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuGraphExecDestroy: no such graph");
    graph_remove(link);
    return fault;
}

FAKE_API CUresult cuGraphDestroy(CUgraph graph) {
    ENTER(cuGraphDestroy);
    CUgraph *link = find(&graphs, graph);
    if (!link) return fake_misuse(CUDA_ERROR_INVALID_HANDLE, "cuGraphDestroy: no such graph");
    graph_remove(link);
    return fault;
}

void fake_graphs_drop(CUcontext context) {
    for (CUgraph *link = &executables; *link;) {
        if ((*link)->context != context) {
            link = &(*link)->next;
            continue;
        }
        fake_counts.orphans++;
        graph_remove(link);
    }
}
