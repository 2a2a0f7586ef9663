#include "include/kernels.h"
#include "vector.h"

// Four butterflies within 16 lanes: entries 1, 2, 4 and 8 apart.
HELPER void butterfly16(f32x16 *v) {
  f32x16 a = *v, b;
  b = __builtin_shufflevector(a, a, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
  a = a * (f32x16){1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1} + b;
  b = __builtin_shufflevector(a, a, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
  a = a * (f32x16){1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1, 1, 1, -1, -1} + b;
  b = __builtin_shufflevector(a, a, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
  a = a * (f32x16){1, 1, 1, 1, -1, -1, -1, -1, 1, 1, 1, 1, -1, -1, -1, -1} + b;
  b = __builtin_shufflevector(a, a, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
  *v = a * (f32x16){1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1, -1} + b;
}

// The Sylvester transform of every `width` numbers of x [size], in place. Two levels a sweep spare half the memory traffic.
HELPER void sylvester(float *x, size_t size, size_t width) {
  if (width < 16) {
    for (size_t h = 1; h < width; h *= 2) {
      for (size_t start = 0; start < size; start += 2 * h) {
        for (size_t j = start; j < start + h; j++) {
          const float a = x[j], b = x[j + h];
          x[j] = a + b;
          x[j + h] = a - b;
        }
      }
    }
    return;
  }
  EACH(size, GET(v, x); butterfly16(&v); PUT(x, v););
  size_t h = 16;
  for (; 4 * h <= width; h *= 4) {
    for (size_t start = 0; start < size; start += 4 * h) {
      float *x0 = x + start, *x1 = x0 + h, *x2 = x1 + h, *x3 = x2 + h;
      EACH(h, GET(a, x0); GET(b, x1); GET(c, x2); GET(d, x3); const f32x16 p = a + b; const f32x16 q = a - b;
           const f32x16 r = c + d; const f32x16 s = c - d; PUT(x0, p + r); PUT(x1, q + s); PUT(x2, p - r);
           PUT(x3, q - s););
    }
  }
  for (; h < width; h *= 2) {
    for (size_t start = 0; start < size; start += 2 * h) {
      float *x0 = x + start, *x1 = x0 + h;
      EACH(h, GET(a, x0); GET(b, x1); PUT(x0, a + b); PUT(x1, a - b););
    }
  }
}

// y[k,:] = sum over m of base[k,m] x[m,:] for rows of `width`, the first `to` numbers of y only.
HELPER void mix(float *y, int accumulate, const float *x, const float *base, size_t down, size_t across, size_t order,
                size_t width, size_t to) {
  for (size_t k = 0; k < order && k * width < to; k++) {
    const size_t count = to - k * width < width ? to - k * width : width;
    const float *signs = base + k * down;
    float *out = y + k * width;
    size_t j = 0;
    // Four sums at once hide the latency of each.
    for (; j + 64 <= count; j += 64) {
      f32x16 s0 = (f32x16)0.0f, s1 = s0, s2 = s0, s3 = s0;
      for (size_t m = 0; m < order; m++) {
        const float *in = x + m * width + j;
        const float w = signs[m * across];
        f32x16 a, b, c, d;
        load_f32(&a, in, 16);
        load_f32(&b, in + 16, 16);
        load_f32(&c, in + 32, 16);
        load_f32(&d, in + 48, 16);
        s0 = a * w + s0;
        s1 = b * w + s1;
        s2 = c * w + s2;
        s3 = d * w + s3;
      }
      const size_t lanes = 16;
      for (size_t i = 0; i < 64; i += 16) {
        const f32x16 sum = i == 0 ? s0 : i == 16 ? s1 : i == 32 ? s2 : s3;
        GET(old, out + j);
        PUT(out + j, accumulate ? old + sum : sum);
      }
    }
    for (; j < count; j += 16) {
      const size_t lanes = count - j < 16 ? count - j : 16;
      f32x16 s = (f32x16)0.0f;
      for (size_t m = 0; m < order; m++) {
        f32x16 a;
        load_f32(&a, x + m * width + j, lanes);
        s = a * signs[m * across] + s;
      }
      f32x16 old;
      load_f32(&old, out + j, lanes);
      s = accumulate ? old + s : s;
      store_f32(out + j, &s, lanes);
    }
  }
}

CLONED void hadamard_f32(float *y, int accumulate, const float *x, const float *base, int transposed, float scale,
                         float *scratch, size_t rows, size_t from, size_t to, size_t order, size_t size) {
  const int inPlace = order == 1 && to == size && !accumulate;
  for (size_t t = 0; t < rows; t++) {
    float *out = y + t * to, *work = inPlace ? out : scratch;
    EACH(from, GET(a, x + t * from); PUT(work, a * scale););
    memset(work + from, 0, (size - from) * sizeof(float));
    sylvester(work, size, size / order);
    if (order > 1) {
      mix(out, accumulate, work, base, transposed ? 1 : order, transposed ? order : 1, order, size / order, to);
    } else if (!inPlace) {
      EACH(to, GET(a, work); GET(o, out); PUT(out, accumulate ? o + a : a););
    }
  }
}
