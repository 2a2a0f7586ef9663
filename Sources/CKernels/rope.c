#include "include/kernels.h"
#include "vector.h"

CLONED void rope_f32(float *y, const float *x, const float *cos, const float *sin, const int32_t *positions,
                     size_t rows, size_t heads, size_t head_dim, float sign, size_t stride_in, size_t stride_out) {
  const size_t half = head_dim / 2;
  for (size_t t = 0; t < rows; t++) {
    const size_t position = positions ? (size_t)positions[t] : t;
    const float *c = cos + position * half, *s = sin + position * half;
    for (size_t h = 0; h < heads; h++) {
      const float *xh = x + t * stride_in + h * head_dim;
      float *yh = y + t * stride_out + h * head_dim;
      EACH(half, GET(a, xh); GET(b, xh + half); GET(cv, c); GET(sv, s); sv *= sign;
           PUT(yh, a * cv - b * sv);
           PUT(yh + half, b * cv + a * sv););
    }
  }
}
