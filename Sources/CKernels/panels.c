#include "include/kernels.h"
#include "vector.h"

// Columns of a panel, and rows of C that are summed up in registers at a time: with 16 columns 6 rows fill AVX2's
// registers, with 32 AVX-512's.
#define WIDTH 32
#define HEIGHT 6

CLONED void pack_panels_f32(float *panels, const float *x, size_t stride, int transposed, size_t depth, size_t cols) {
  for (size_t j = 0; j < cols; j += WIDTH) {
    const size_t lanes = cols - j < WIDTH ? cols - j : WIDTH;
    if (!transposed) {
      for (size_t l = 0; l < depth; l++, panels += WIDTH) {
        memcpy(panels, x + l * stride + j, lanes * sizeof(float));
        memset(panels + lanes, 0, (WIDTH - lanes) * sizeof(float));
      }
      continue;
    }
    // Some rows of x at a time, so that what is read and written stays near.
    for (size_t l = 0; l < depth; l += 16) {
      const size_t end = depth - l < 16 ? depth : l + 16;
      for (size_t i = 0; i < WIDTH; i++) {
        for (size_t m = l; m < end; m++) panels[m * WIDTH + i] = i < lanes ? x[(j + i) * stride + m] : 0.0f;
      }
    }
    panels += depth * WIDTH;
  }
}

// Adds to c, or writes, 16 numbers or as many as there are.
HELPER void put(float *c, int accumulate, f32x16 *sum, size_t lanes) {
  if (accumulate) {
    f32x16 old;
    load_f32(&old, c, lanes);
    *sum += old;
  }
  store_f32(c, sum, lanes);
}

// c[rows, 16 halves] = a b over l < depth; rows and halves are constants wherever this is called.
HELPER void block(float *c, size_t stride, int accumulate, const float *a, size_t row, size_t column, const float *b,
                  size_t depth, size_t lanes, const size_t rows, const size_t halves) {
  f32x16 sums[HEIGHT][2];
#pragma unroll
  for (size_t i = 0; i < rows; i++) {
#pragma unroll
    for (size_t h = 0; h < halves; h++) sums[i][h] = (f32x16)0.0f;
  }
#pragma nounroll
  for (size_t l = 0; l < depth; l++) {
    f32x16 values[2];
#pragma unroll
    for (size_t h = 0; h < halves; h++) load_f32(&values[h], b + l * WIDTH + h * 16, 16);
#pragma unroll
    for (size_t i = 0; i < rows; i++) {
      const float factor = a[i * row + l * column];
#pragma unroll
      for (size_t h = 0; h < halves; h++) sums[i][h] = values[h] * factor + sums[i][h];
    }
  }
  if (lanes >= halves * 16) {
#pragma unroll
    for (size_t i = 0; i < rows; i++) {
#pragma unroll
      for (size_t h = 0; h < halves; h++) put(c + i * stride + h * 16, accumulate, &sums[i][h], 16);
    }
    return;
  }
#pragma unroll
  for (size_t i = 0; i < rows; i++) {
    put(c + i * stride, accumulate, &sums[i][0], lanes < 16 ? lanes : 16);
    if (halves == 2 && lanes > 16) put(c + i * stride + 16, accumulate, &sums[i][1], lanes - 16);
  }
}

HELPER void product(float *c, size_t stride, int accumulate, const float *a, size_t row, size_t column,
                    const float *panels, size_t panel_depth, size_t rows, size_t cols, size_t depth, int causal,
                    size_t first, size_t window, const size_t halves) {
  const size_t width = halves * 16;
  for (size_t j = 0; j < cols; j += width) {
    const float *b = panels + j / WIDTH * WIDTH * panel_depth + j % WIDTH;
    const size_t lanes = cols - j < width ? cols - j : width;
    for (size_t i = 0; i < rows; i += HEIGHT) {
      const size_t count = rows - i < HEIGHT ? rows - i : HEIGHT;
      size_t from = 0, to = depth;
      // From the first position that the first of these rows sees to where the last one's sight ends.
      const size_t end = first + i + count;
      const size_t begin = window && first + i + 1 > window ? first + i + 1 - window : 0;
      if (causal == CK_CAUSAL_COLUMNS && (j >= end || j + width <= begin)) continue;
      if (causal == CK_CAUSAL_DEPTH) {
        if (to > end) to = end;
        from = begin < to ? begin : to;
      }
      if (causal == CK_CAUSAL_ROWS) {
        if (window && i + count - 1 + window < first + to) to = i + count - 1 + window > first ? i + count - 1 + window - first : 0;
        if (i > first) from = i - first < to ? i - first : to;
      }
      float *place = c + i * stride + j;
      const float *left = a + i * row + from * column, *right = b + from * WIDTH;
      const size_t n = to - from;
      switch (count) {
        case 1: block(place, stride, accumulate, left, row, column, right, n, lanes, 1, halves); break;
        case 2: block(place, stride, accumulate, left, row, column, right, n, lanes, 2, halves); break;
        case 3: block(place, stride, accumulate, left, row, column, right, n, lanes, 3, halves); break;
        case 4: block(place, stride, accumulate, left, row, column, right, n, lanes, 4, halves); break;
        case 5: block(place, stride, accumulate, left, row, column, right, n, lanes, 5, halves); break;
        default: block(place, stride, accumulate, left, row, column, right, n, lanes, HEIGHT, halves);
      }
    }
  }
}

CLONED void panel_product_narrow_f32(float *c, size_t stride, int accumulate, const float *a, size_t row, size_t column,
                                     const float *panels, size_t panel_depth, size_t rows, size_t cols, size_t depth,
                                     int causal, size_t first, size_t window) {
  product(c, stride, accumulate, a, row, column, panels, panel_depth, rows, cols, depth, causal, first, window, 1);
}

CLONED void panel_product_wide_f32(float *c, size_t stride, int accumulate, const float *a, size_t row, size_t column,
                                   const float *panels, size_t panel_depth, size_t rows, size_t cols, size_t depth,
                                   int causal, size_t first, size_t window) {
  product(c, stride, accumulate, a, row, column, panels, panel_depth, rows, cols, depth, causal, first, window, 2);
}

void panel_product_f32(float *c, size_t stride, int accumulate, const float *a, size_t row, size_t column,
                       const float *panels, size_t panel_depth, size_t rows, size_t cols, size_t depth, int causal,
                       size_t first, size_t window) {
  if (cpu_has_avx512()) {
    panel_product_wide_f32(c, stride, accumulate, a, row, column, panels, panel_depth, rows, cols, depth, causal, first, window);
  } else {
    panel_product_narrow_f32(c, stride, accumulate, a, row, column, panels, panel_depth, rows, cols, depth, causal, first,
                             window);
  }
}
