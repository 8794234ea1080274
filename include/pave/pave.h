/* SPDX-License-Identifier: Apache-2.0
 * Pave: fused linear algebra on any device. This header includes the whole public interface. */
#ifndef PAVE_PAVE_H
#define PAVE_PAVE_H

#include <pave/buffer.h>
#include <pave/device.h>
#include <pave/ops.h>
#include <pave/plan.h>
#include <pave/types.h>

#endif
