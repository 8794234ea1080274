/* SPDX-License-Identifier: Apache-2.0
 * oneDNN's matmul with bias and a logistic post-op, W as it lies or reordered once into the form that it asks for. */
#include "tests/bench/peers.h"

#include <dnnl.hpp>
#include <memory>
#include <stdio.h>
#include <string.h>
#include <unordered_map>

namespace {

using dnnl::memory;

struct state {
    dnnl::engine engine{dnnl::engine::kind::cpu, 0};
    dnnl::stream stream{engine};
    dnnl::matmul matmul;
    std::unordered_map<int, memory> arguments;
};

dnnl::matmul::primitive_desc describe(const dnnl::engine &engine, const memory::desc &x,
                                      const memory::desc &w, const memory::desc &b, const memory::desc &y) {
    dnnl::post_ops ops;
    dnnl::primitive_attr attributes;
#if DNNL_VERSION_MAJOR >= 3
    ops.append_eltwise(dnnl::algorithm::eltwise_logistic, 0, 0);
    attributes.set_post_ops(ops);
    return {engine, x, w, b, y, attributes};
#else
    ops.append_eltwise(1, dnnl::algorithm::eltwise_logistic, 0, 0);
    attributes.set_post_ops(ops);
    return {dnnl::matmul::desc(x, w, b, y), attributes, engine};
#endif
}

void *prepare(const peer_problem *p, bool packed) try {
    auto now = std::make_unique<state>();
    const auto type = memory::data_type::f32;
    using tag = memory::format_tag;
    const memory::desc x({p->m, p->k}, type, tag::ab), w({p->k, p->n}, type, tag::ba),
        b({1, p->n}, type, tag::ab), y({p->m, p->n}, type, tag::ab), any({p->k, p->n}, type, tag::any);
    const auto primitive = describe(now->engine, x, packed ? any : w, b, y);
    memory plain(w, now->engine, const_cast<float *>(p->w)), weights(primitive.weights_desc(), now->engine);
    if (packed) {
        dnnl::reorder(plain, weights).execute(now->stream, plain, weights);
        now->stream.wait();
    }
    now->matmul = dnnl::matmul(primitive);
    now->arguments = {{DNNL_ARG_SRC, memory(x, now->engine, const_cast<float *>(p->x))},
                      {DNNL_ARG_WEIGHTS, packed ? weights : plain},
                      {DNNL_ARG_BIAS, memory(b, now->engine, const_cast<float *>(p->bias))},
                      {DNNL_ARG_DST, memory(y, now->engine, p->y)}};
    return now.release();
} catch (const dnnl::error &error) {
    fprintf(stderr, "onednn: %s\n", error.what());
    return nullptr;
}

void *prepare_plain(const peer_problem *p) {
    return prepare(p, false);
}

void *prepare_packed(const peer_problem *p) {
    return prepare(p, true);
}

bool run(void *of) {
    state *now = static_cast<state *>(of);
    now->matmul.execute(now->stream, now->arguments);
    now->stream.wait();
    return true;
}

void drop(void *of) {
    delete static_cast<state *>(of);
}

} // namespace

const peer peer_dnnl = {"onednn", "all", prepare_plain, run, nullptr, drop};
const peer peer_dnnl_packed = {"onednn packed", "all", prepare_packed, run, nullptr, drop};
