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

#define DEFINE_GEMV(kind, elem)                                                                                    \
  CLONED void gemv_##kind(float *y, const elem *W, const float *x, size_t row_begin, size_t row_end, size_t cols) { \
    size_t o = row_begin;                                                                                          \
    for (; o + 4 <= row_end; o += 4) {                                                                             \
      const elem *w0 = W + o * cols, *w1 = w0 + cols, *w2 = w1 + cols, *w3 = w2 + cols;                            \
      f32x16 s0 = (f32x16)0.0f, s1 = s0, s2 = s0, s3 = s0;                                                         \
      EACH(cols, GET(v, x); WEIGHTS_##kind(a, w0); WEIGHTS_##kind(b, w1); WEIGHTS_##kind(c, w2);                   \
           WEIGHTS_##kind(d, w3); s0 = a * v + s0; s1 = b * v + s1; s2 = c * v + s2; s3 = d * v + s3;);            \
      y[o] = sum16(&s0);                                                                                           \
      y[o + 1] = sum16(&s1);                                                                                       \
      y[o + 2] = sum16(&s2);                                                                                       \
      y[o + 3] = sum16(&s3);                                                                                       \
    }                                                                                                              \
    for (; o < row_end; o++) {                                                                                     \
      f32x16 s = (f32x16)0.0f;                                                                                     \
      EACH(cols, GET(v, x); WEIGHTS_##kind(a, W + o * cols); s = a * v + s;);                                      \
      y[o] = sum16(&s);                                                                                            \
    }                                                                                                              \
  }

DEFINE_GEMV(f32, float)
DEFINE_GEMV(bf16, uint16_t)
DEFINE_GEMV(f16, uint16_t)
