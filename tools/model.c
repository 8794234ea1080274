/* SPDX-License-Identifier: Apache-2.0
 * Layers are the prefixes of *.weight; their order is that of the numbers in their names, and where names
 * differ in more than numbers the user has to say the order, since a guess would compute something else in
 * silence. */
#include "tools/model.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Digits compare as numbers, so that linear10 follows linear9. */
static int natural(const char *a, const char *b) {
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            while (*a == '0') a++;
            while (*b == '0') b++;
            size_t m = strspn(a, "0123456789"), n = strspn(b, "0123456789");
            int order = m != n ? (m < n ? -1 : 1) : strncmp(a, b, m);
            if (order) return order;
            a += m;
            b += n;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return (*a != '\0') - (*b != '\0');
}

static bool same_but_numbers(const char *a, const char *b) {
    for (;;) {
        bool digits = isdigit((unsigned char)*a) && isdigit((unsigned char)*b);
        a += digits ? strspn(a, "0123456789") : 0;
        b += digits ? strspn(b, "0123456789") : 0;
        if (*a != *b) return false;
        if (!*a) return true;
        a++;
        b++;
    }
}

static int by_prefix(const void *a, const void *b) {
    return natural(((const model_layer *)a)->prefix, ((const model_layer *)b)->prefix);
}

static bool ends_with(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n >= m && strcmp(name + n - m, end) == 0 && (n == m || name[n - m - 1] == '.');
}

static bool add_layer(tool_model *model, const char *prefix, size_t length, tool_why *why) {
    if (model->count == PAVE_MAX_LAYERS) return tool_refuse(why, "more than %d layers", PAVE_MAX_LAYERS);
    char *copy = strndup(prefix, length);
    if (!copy) return tool_refuse(why, "no memory");
    model->layers[model->count++].prefix = copy;
    return true;
}

static bool find_all(tool_model *model, tool_why *why) {
    for (size_t i = 0; i < model->file.count; i++) {
        const char *name = model->file.tensors[i].name;
        if (ends_with(name, "weight") && !add_layer(model, name, strlen(name) - strlen("weight"), why))
            return false;
    }
    qsort(model->layers, model->count, sizeof model->layers[0], by_prefix);
    for (size_t i = 1; i < model->count; i++)
        if (!same_but_numbers(model->layers[0].prefix, model->layers[i].prefix))
            return tool_refuse(why,
                               "the order of '%sweight' and '%sweight' does not show in their names; "
                               "--layers says it",
                               model->layers[0].prefix, model->layers[i].prefix);
    return true;
}

/* A name as the user writes it, "linear1", is the prefix "linear1.". */
static bool find_named(tool_model *model, const char *names, tool_why *why) {
    for (;;) {
        size_t length = strcspn(names, ",");
        char prefix[256];
        if (length == 0 || length + 2 > sizeof prefix)
            return tool_refuse(why, "--layers has an empty or overlong name");
        snprintf(prefix, sizeof prefix, "%.*s%s", (int)length, names, names[length - 1] == '.' ? "" : ".");
        if (!add_layer(model, prefix, strlen(prefix), why)) return false;
        if (!names[length]) return true;
        names += length + 1;
    }
}

static const st_tensor *part(const tool_model *model, const model_layer *layer, const char *end) {
    char *name = malloc(strlen(layer->prefix) + strlen(end) + 1);
    if (!name) return NULL;
    strcpy(name, layer->prefix);
    strcat(name, end);
    const st_tensor *found = st_find(&model->file, name);
    free(name);
    return found;
}

static bool check_type(const st_tensor *t, tool_why *why) {
    return t->type
               ? true
               : tool_refuse(why,
                             "tensor '%s': its dtype is %s; F32, F16, BF16, F8_E4M3 and F8_E5M2 can be run",
                             t->name, t->dtype);
}

static bool check_layer(tool_model *model, size_t i, tool_why *why) {
    model_layer *layer = &model->layers[i];
    layer->weight = part(model, layer, "weight");
    layer->bias = part(model, layer, "bias");
    const st_tensor *w = layer->weight, *b = layer->bias;
    if (!w) return tool_refuse(why, "tensor '%sweight': not in the file", layer->prefix);
    if (!check_type(w, why) || (b && !check_type(b, why))) return false;
    if (w->rank != 2)
        return tool_refuse(why, "tensor '%s': %d dimensions where a weight has 2", w->name, w->rank);
    layer->n = w->shape[0];
    layer->k = w->shape[1];
    if (b && (b->rank != 1 || b->shape[0] != layer->n))
        return tool_refuse(why, "tensor '%s': its shape is not [%" PRId64 "], the rows of '%s'", b->name,
                           layer->n, w->name);
    if (i && layer->k != layer[-1].n)
        return tool_refuse(why, "tensor '%s': width %" PRId64 " where '%s' gives %" PRId64, w->name, layer->k,
                           layer[-1].weight->name, layer[-1].n);
    model->bytes += w->bytes + (b ? b->bytes : 0);
    return true;
}

static bool check_extra(const tool_model *model, tool_why *why) {
    for (size_t i = 0; i < model->file.count; i++) {
        const st_tensor *t = &model->file.tensors[i];
        bool used = false;
        for (size_t j = 0; j < model->count; j++)
            used |= t == model->layers[j].weight || t == model->layers[j].bias;
        if (used) continue;
        if (ends_with(t->name, "bias"))
            return tool_refuse(why, "tensor '%s': a bias without its weight", t->name);
        return tool_refuse(why, "tensor '%s': belongs to no linear layer; --layers chooses the layers to run",
                           t->name);
    }
    return true;
}

bool model_open(const char *path, const char *layers, tool_model *model, tool_why *why) {
    memset(model, 0, sizeof *model);
    if (!st_open(path, &model->file, why)) return false;
    bool ok = layers ? find_named(model, layers, why) : find_all(model, why);
    for (size_t i = 0; ok && i < model->count; i++) ok = check_layer(model, i, why);
    if (ok && !layers) ok = check_extra(model, why);
    if (ok && model->count == 0) ok = tool_refuse(why, "no tensor '*.weight' in it");
    if (!ok) model_close(model);
    return ok;
}

static bool upload(tool_model *model, tool_session *session, const st_tensor *tensor, pave_buffer **buffer,
                   pave_status *status, tool_why *why) {
    void *data = malloc(tensor->bytes ? (size_t)tensor->bytes : 1);
    if (!data)
        return tool_refuse(why, "tensor '%s': no memory for %" PRIu64 " bytes", tensor->name, tensor->bytes);
    bool ok = st_read(&model->file, tensor, data, why);
    if (ok) {
        *status = pave_buffer_create(session->context, tensor->bytes, buffer);
        if (!*status && tensor->bytes)
            *status = pave_buffer_write(session->queue, *buffer, 0, data, tensor->bytes, PAVE_BLOCK, NULL);
        if (*status) ok = tool_refuse(why, "tensor '%s'", tensor->name);
    }
    free(data);
    return ok;
}

bool model_upload(tool_model *model, tool_session *session, pave_precision precision, pave_status *status,
                  tool_why *why) {
    *status = PAVE_OK;
    for (size_t i = 0; i < model->count; i++) {
        model_layer *layer = &model->layers[i];
        if (tool_interrupted()) return tool_refuse(why, "interrupted");
        if (!upload(model, session, layer->weight, &layer->w_buffer, status, why)) return false;
        if (layer->bias && !upload(model, session, layer->bias, &layer->bias_buffer, status, why))
            return false;
        pave_tensor w = pave_tensor_2d(layer->w_buffer, layer->weight->type, layer->n, layer->k);
        *status = pave_weights_create(session->queue, &w, precision, &layer->weights);
        if (*status) return tool_refuse(why, "tensor '%s'", layer->weight->name);
    }
    return true;
}

void model_close(tool_model *model) {
    for (size_t i = 0; i < model->count; i++) {
        pave_weights_destroy(&model->layers[i].weights);
        pave_buffer_destroy(&model->layers[i].w_buffer);
        pave_buffer_destroy(&model->layers[i].bias_buffer);
        free(model->layers[i].prefix);
    }
    model->count = 0;
    st_close(&model->file);
}
