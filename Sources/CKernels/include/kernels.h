// Loops over contiguous row-major arrays: no globals, no allocation, no threads (a caller splits rows).
//
// Every function of kernels_api.h exists three times:
//   name_f32      16-wide vectors, cloned for x86-64-v4, -v3 and the baseline on x86-64 Linux
//   name_ref_f32  the plain scalar twin in float
//   name_f64      the same scalar source in double
// Any length is allowed, 0 included. Unless a comment says otherwise, an output may be the same
// array as an input of the same shape, but may not overlap it partly. `_acc` adds into its output.
#pragma once
#include <stddef.h>
#include <stdint.h>

// What a product of panels may leave out.
enum { CK_CAUSAL_COLUMNS = 1, CK_CAUSAL_DEPTH, CK_CAUSAL_ROWS };

#define CK_T float
#define CK_FN(name) name##_f32
#include "kernels_api.h"
#undef CK_FN
#define CK_FN(name) name##_ref_f32
#include "kernels_api.h"
#undef CK_FN
#undef CK_T
#define CK_T double
#define CK_FN(name) name##_f64
#include "kernels_api.h"
#undef CK_FN
#undef CK_T

// ---- convert.c: to a narrower type rounds to nearest even; NaN stays NaN, with its sign.
void bf16_to_f32(float *y, const uint16_t *x, size_t n);
void f16_to_f32(float *y, const uint16_t *x, size_t n);
void bf16_to_f64(double *y, const uint16_t *x, size_t n);
void f16_to_f64(double *y, const uint16_t *x, size_t n);
void f32_to_bf16(uint16_t *y, const float *x, size_t n);
void f32_to_f16(uint16_t *y, const float *x, size_t n);
void f32_to_f64(double *y, const float *x, size_t n);
void f64_to_f32(float *y, const double *x, size_t n);

// y[o] = W[o,:] . x for row_begin <= o < row_end, W half precision, sums in float (see gemv_f32).
void gemv_bf16(float *y, const uint16_t *W, const float *x, size_t row_begin, size_t row_end, size_t cols);
void gemv_f16(float *y, const uint16_t *W, const float *x, size_t row_begin, size_t row_end, size_t cols);
// y[j] = sum over l of x[l] W[l,j] for begin <= j < end; W is [lines, stride].
void gemv_lines_bf16(float *y, const uint16_t *W, const float *x, size_t begin, size_t end, size_t lines, size_t stride);
void gemv_lines_f16(float *y, const uint16_t *W, const float *x, size_t begin, size_t end, size_t lines, size_t stride);

// ---- panels.c: panel_product_f32 for 16 columns in registers at a time and for 32; it takes the one that suits the CPU.
void panel_product_narrow_f32(float *c, size_t stride, int accumulate, const float *a, size_t row, size_t column,
                              const float *panels, size_t panel_depth, size_t rows, size_t cols, size_t depth, int causal,
                              size_t first, size_t window);
void panel_product_wide_f32(float *c, size_t stride, int accumulate, const float *a, size_t row, size_t column,
                            const float *panels, size_t panel_depth, size_t rows, size_t cols, size_t depth, int causal,
                            size_t first, size_t window);

// ---- random.c: the four words of one Philox4x32-10 block; the counter is (block, stream), 64 bits each.
void philox_block(uint64_t key, uint64_t stream, uint64_t block, uint32_t out[4]);

// ---- cpu.c: whether the CPU has the AVX-512 subsets that OpenBLAS's SkylakeX kernels use.
int cpu_has_avx512(void);
// Processors this process may run on.
int cpu_count(void);

// Tells the processor that this thread only waits.
static inline void cpu_relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}
