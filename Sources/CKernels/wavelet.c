#include "include/kernels.h"
#include "vector.h"

// Both directions work on blocks of a row: what a block needs of its neighbours, and of the row's other end, is laid out
// contiguously first, so that the loop over taps reads whole vectors.
#define BLOCK 256
#define TAPS 64

HELPER size_t wrapped(ptrdiff_t i, size_t period) {
  while (i < 0) i += (ptrdiff_t)period;
  while (i >= (ptrdiff_t)period) i -= (ptrdiff_t)period;
  return (size_t)i;
}

// even[q], odd[q] = numbers start + 2q and start + 2q + 1 of a row that repeats with `period`; of each period x holds the
// first `cols`, the others are 0.
HELPER void phases(float *even, float *odd, const float *x, size_t cols, size_t period, ptrdiff_t start, size_t pairs) {
  const size_t first = start < 0 ? (size_t)((1 - start) / 2) : 0;
  const ptrdiff_t within = ((ptrdiff_t)cols - start) / 2;
  size_t last = within < (ptrdiff_t)first ? first : (size_t)within;
  if (last > pairs) last = pairs;
  const int fits = last >= first + 16;
  if (fits) {
    for (size_t q = first; q < last; q += 16) {
      // The last vector lies back over the one before it, rather than end in single numbers.
      const size_t p = q + 16 <= last ? q : last - 16;
      const float *from = x + (start + (ptrdiff_t)(2 * p));
      f32x16 a, b;
      load_f32(&a, from, 16);
      load_f32(&b, from + 16, 16);
      const f32x16 e = __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
      const f32x16 o = __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
      store_f32(even + p, &e, 16);
      store_f32(odd + p, &o, 16);
    }
  }
  for (size_t q = 0; q < pairs; q++) {
    if (fits && q == first) q = last;
    if (q >= pairs) break;
    const size_t i = wrapped(start + (ptrdiff_t)(2 * q), period), j = wrapped(start + (ptrdiff_t)(2 * q) + 1, period);
    even[q] = i < cols ? x[i] : 0;
    odd[q] = j < cols ? x[j] : 0;
  }
}

HELPER void split_rows(float *low, float *high, const float *x, const float *h, size_t taps, size_t rows, size_t half,
                       size_t cols, size_t stride_bands, size_t stride_x) {
  const size_t steps = taps / 2;
  float even[BLOCK + TAPS / 2] = {0}, odd[BLOCK + TAPS / 2] = {0};
  for (size_t t = 0; t < rows; t++) {
    for (size_t k = 0; k < half; k += BLOCK) {
      const size_t count = half - k < BLOCK ? half - k : BLOCK;
      float *l = low + t * stride_bands + k, *g = high + t * stride_bands + k;
      phases(even, odd, x + t * stride_x, cols, 2 * half, (ptrdiff_t)(2 * k + 1) - (ptrdiff_t)steps, count + steps - 1);
      EACH(count, f32x16 s = (f32x16)0; f32x16 d = (f32x16)0;
           for (size_t p = 0; p < steps; p++) {
             GET(e, even + p); GET(o, odd + p);
             s = e * h[2 * p] + s;
             d = e * h[taps - 1 - 2 * p] + d;
             s = o * h[2 * p + 1] + s;
             d = d - o * h[taps - 2 - 2 * p];
           } PUT(l, s); PUT(g, d););
    }
  }
}

// The numbers start ... start + count - 1 of a band that repeats with `half`, where they lie or gathered in `copy`.
HELPER const float *periodic(float *copy, const float *band, size_t half, ptrdiff_t start, size_t count) {
  if (start >= 0 && (size_t)start + count <= half) return band + start;
  for (size_t done = 0; done < count;) {
    const size_t from = wrapped(start + (ptrdiff_t)done, half);
    const size_t run = half - from < count - done ? half - from : count - done;
    memcpy(copy + done, band + from, run * sizeof(float));
    done += run;
  }
  return copy;
}

HELPER void join_rows(float *x, int accumulate, const float *low, const float *high, const float *h, size_t taps,
                      size_t rows, size_t half, size_t cols, size_t stride_x, size_t stride_bands) {
  // Pair q of a row are its numbers 2q + shift and the next; the first pair is the first that does not begin before the row.
  const size_t steps = taps / 2;
  const ptrdiff_t shift = 1 - (ptrdiff_t)steps;
  const size_t first = steps / 2;
  float low_copy[BLOCK + TAPS / 2], high_copy[BLOCK + TAPS / 2], pairs[32];
  for (size_t t = 0; t < rows; t++) {
    float *row = x + t * stride_x;
    for (size_t k = 0; k < half; k += BLOCK) {
      const size_t count = half - k < BLOCK ? half - k : BLOCK;
      const ptrdiff_t start = (ptrdiff_t)(first + k) - (ptrdiff_t)(steps - 1);
      const float *l = periodic(low_copy, low + t * stride_bands, half, start, count + steps - 1);
      const float *g = periodic(high_copy, high + t * stride_bands, half, start, count + steps - 1);
      EACH(count, f32x16 e = (f32x16)0; f32x16 o = (f32x16)0;
           for (size_t p = 0; p < steps; p++) {
             GET(s, l + (steps - 1 - p)); GET(d, g + (steps - 1 - p));
             e = s * h[2 * p] + e;
             o = s * h[2 * p + 1] + o;
             e = d * h[taps - 1 - 2 * p] + e;
             o = o - d * h[taps - 2 - 2 * p];
           }
           f32x16 a = __builtin_shufflevector(e, o, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
           f32x16 b = __builtin_shufflevector(e, o, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
           const size_t at = (size_t)((ptrdiff_t)(2 * (first + k + i)) + shift);
           if (lanes == 16 && at + 32 <= cols) {
             if (accumulate) {
               f32x16 c, d;
               load_f32(&c, row + at, 16);
               load_f32(&d, row + at + 16, 16);
               a += c;
               b += d;
             }
             store_f32(row + at, &a, 16);
             store_f32(row + at + 16, &b, 16);
           } else {
             store_f32(pairs, &a, 16);
             store_f32(pairs + 16, &b, 16);
             const size_t room = at < cols ? cols - at : 0, fit = 2 * lanes < room ? 2 * lanes : room;
             if (accumulate) {
               for (size_t j = 0; j < fit; j++) row[at + j] += pairs[j];
             } else {
               memcpy(row + at, pairs, fit * sizeof(float));
             }
             // Pairs that begin at odd places leave the row's first number to the last of them.
             if (at + 2 * lanes > 2 * half) row[0] = accumulate ? row[0] + pairs[2 * lanes - 1] : pairs[2 * lanes - 1];
           });
    }
  }
}

// With the number of taps known, the loop over them unrolls.
#define BY_TAPS(function, ...)                      \
  switch (taps) {                                   \
    case 2: function(__VA_ARGS__, 2, REST); break;  \
    case 4: function(__VA_ARGS__, 4, REST); break;  \
    case 8: function(__VA_ARGS__, 8, REST); break;  \
    default: function(__VA_ARGS__, taps, REST);     \
  }

#define REST rows, half, cols, stride_bands, stride_x
CLONED void wavelet_split_f32(float *restrict low, float *restrict high, const float *restrict x,
                              const float *restrict h, size_t taps, size_t rows, size_t half, size_t cols,
                              size_t stride_bands, size_t stride_x) {
  BY_TAPS(split_rows, low, high, x, h)
}

#undef REST
#define REST rows, half, cols, stride_x, stride_bands
CLONED void wavelet_join_f32(float *restrict x, int accumulate, const float *restrict low, const float *restrict high,
                             const float *restrict h, size_t taps, size_t rows, size_t half, size_t cols,
                             size_t stride_x, size_t stride_bands) {
  BY_TAPS(join_rows, x, accumulate, low, high, h)
}
