// Matrix times vector for generation: bound by reading W once, so four rows share each block of x.
#include "include/kernels.h"
#include "vector.h"

#define WEIGHTS_f32(name, array) GET(name, array)
#define WEIGHTS_bf16(name, array)                 \
  u16x16 half_##name;                             \
  load_u16(&half_##name, (array) + i, lanes);     \
  f32x16 name;                                    \
  widen_bf16(&name, &half_##name)
#define WEIGHTS_f16(name, array)                  \
  u16x16 half_##name;                             \
  load_u16(&half_##name, (array) + i, lanes);     \
  f32x16 name;                                    \
  widen_f16(&name, &half_##name)

#define WEIGHTS_f16_hardware(name, array)         \
  u16x16 half_##name;                             \
  load_u16(&half_##name, (array) + i, lanes);     \
  f32x16 name;                                    \
  widen_f16_hardware(&name, &half_##name)

#define DEFINE_GEMV(attributes, function, kind, elem)                                                   \
  attributes void function(float *y, const elem *W, const float *x, size_t row_begin, size_t row_end,   \
                           size_t cols) {                                                               \
    size_t o = row_begin;                                                                               \
    for (; o + 4 <= row_end; o += 4) {                                                                  \
      const elem *w0 = W + o * cols, *w1 = w0 + cols, *w2 = w1 + cols, *w3 = w2 + cols;                 \
      f32x16 s0 = (f32x16)0.0f, s1 = s0, s2 = s0, s3 = s0;                                              \
      EACH(cols, GET(v, x); WEIGHTS_##kind(a, w0); WEIGHTS_##kind(b, w1); WEIGHTS_##kind(c, w2);        \
           WEIGHTS_##kind(d, w3); s0 = a * v + s0; s1 = b * v + s1; s2 = c * v + s2; s3 = d * v + s3;); \
      y[o] = sum16(&s0);                                                                                \
      y[o + 1] = sum16(&s1);                                                                            \
      y[o + 2] = sum16(&s2);                                                                            \
      y[o + 3] = sum16(&s3);                                                                            \
    }                                                                                                   \
    for (; o < row_end; o++) {                                                                          \
      f32x16 s = (f32x16)0.0f;                                                                          \
      EACH(cols, GET(v, x); WEIGHTS_##kind(a, W + o * cols); s = a * v + s;);                           \
      y[o] = sum16(&s);                                                                                 \
    }                                                                                                   \
  }

DEFINE_GEMV(CLONED, gemv_f32, f32, float)
DEFINE_GEMV(CLONED, gemv_bf16, bf16, uint16_t)

// Widening f16 in integer steps is slower than memory, so a processor that has the instruction should use it. A clone
// cannot choose its body, so these versions are chosen by hand.
#if defined(__x86_64__) && defined(__linux__) && !defined(CK_BASELINE)
DEFINE_GEMV(__attribute__((target("arch=x86-64-v4"))) static, gemv_f16_v4, f16_hardware, uint16_t)
DEFINE_GEMV(__attribute__((target("arch=x86-64-v3"))) static, gemv_f16_v3, f16_hardware, uint16_t)
DEFINE_GEMV(static, gemv_f16_baseline, f16, uint16_t)

void gemv_f16(float *y, const uint16_t *W, const float *x, size_t row_begin, size_t row_end, size_t cols) {
  if (__builtin_cpu_supports("x86-64-v4")) {
    gemv_f16_v4(y, W, x, row_begin, row_end, cols);
  } else if (__builtin_cpu_supports("x86-64-v3")) {
    gemv_f16_v3(y, W, x, row_begin, row_end, cols);
  } else {
    gemv_f16_baseline(y, W, x, row_begin, row_end, cols);
  }
}
#elif defined(__aarch64__)
DEFINE_GEMV(CLONED, gemv_f16, f16_hardware, uint16_t)
#else
DEFINE_GEMV(CLONED, gemv_f16, f16, uint16_t)
#endif
