#include "include/kernels.h"
#include "vector.h"

CLONED void slice_sum_f32(float *restrict y, const float *restrict v, const float *restrict weights, size_t rows,
                          size_t slices, size_t width) {
  for (size_t t = 0; t < rows; t++) {
    float *out = y + t * width;
    memset(out, 0, width * sizeof(float));
    for (size_t m = 0; m < slices; m++) {
      const float w = weights[t * slices + m];
      if (w == 0.0f) continue;
      EACH(width, GET(a, v + (t * slices + m) * width); GET(o, out); PUT(out, a * w + o););
    }
  }
}

CLONED void slice_spread_f32(float *restrict v, const float *restrict y, const float *restrict weights, size_t rows,
                             size_t slices, size_t width) {
  for (size_t t = 0; t < rows; t++) {
    for (size_t m = 0; m < slices; m++) {
      const float w = weights[t * slices + m];
      EACH(width, GET(a, y + t * width); PUT(v + (t * slices + m) * width, a * w););
    }
  }
}

CLONED void slice_dot_f32(float *restrict out, const float *restrict v, const float *restrict y, size_t rows,
                          size_t slices, size_t width) {
  for (size_t t = 0; t < rows; t++) {
    for (size_t m = 0; m < slices; m++) {
      f32x16 s = (f32x16)0.0f;
      EACH(width, GET(a, v + (t * slices + m) * width); GET(b, y + t * width); s = a * b + s;);
      out[t * slices + m] = sum16(&s);
    }
  }
}
