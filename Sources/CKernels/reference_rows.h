// Included by reference.c per type: T, FN(name), M(libm name). Loops over rows and columns.

#define ROWS for (size_t t = 0; t < rows; t++)
#define COLS for (size_t j = 0; j < cols; j++)
#define AT(array) ((array)[t * cols + j])

void FN(add_row)(T *y, const T *x, const T *row, size_t rows, size_t cols) { ROWS COLS AT(y) = AT(x) + row[j]; }
void FN(mul_row)(T *y, const T *x, const T *row, size_t rows, size_t cols) { ROWS COLS AT(y) = AT(x) * row[j]; }
void FN(mul_col)(T *y, const T *x, const T *col, size_t rows, size_t cols) { ROWS COLS AT(y) = AT(x) * col[t]; }
void FN(col_sum_acc)(T *out, const T *x, size_t rows, size_t cols) { ROWS COLS out[j] += AT(x); }

void FN(row_dot)(T *out, const T *a, const T *b, size_t rows, size_t cols) {
  ROWS {
    T s = 0;
    COLS s += AT(a) * AT(b);
    out[t] = s;
  }
}

static T FN(inverse_root)(T x) { return x < (T)INFINITY ? 1 / M(sqrt)(x) : (T)NAN; }

void FN(rmsnorm)(T *y, T *inv_rms, const T *x, const T *weight, T eps, size_t rows, size_t cols) {
  ROWS {
    T s = 0;
    COLS s += AT(x) * AT(x);
    inv_rms[t] = FN(inverse_root)(s / (T)cols + eps);
    COLS AT(y) = AT(x) * inv_rms[t] * weight[j];
  }
}

void FN(rmsnorm_backward)(T *dx, int accumulate, const T *x, const T *weight, const T *inv_rms, const T *dy,
                          size_t rows, size_t cols) {
  ROWS {
    T s = 0;
    COLS s += AT(dy) * weight[j] * AT(x);
    const T inv = inv_rms[t], c = inv * inv * (s / (T)cols);
    COLS {
      const T d = (AT(dy) * weight[j] - AT(x) * c) * inv;
      AT(dx) = accumulate ? AT(dx) + d : d;
    }
  }
}

void FN(rmsnorm_weight_grad_acc)(T *dw, const T *x, const T *inv_rms, const T *dy, size_t rows, size_t cols) {
  ROWS COLS dw[j] += AT(dy) * (AT(x) * inv_rms[t]);
}

void FN(layernorm)(T *y, T *mean, T *inv_std, const T *x, const T *weight, const T *bias, T eps, size_t rows,
                   size_t cols) {
  ROWS {
    T s = 0, s2 = 0;
    COLS s += AT(x);
    const T mu = s / (T)cols;
    COLS s2 += (AT(x) - mu) * (AT(x) - mu);
    mean[t] = mu;
    inv_std[t] = FN(inverse_root)(s2 / (T)cols + eps);
    COLS AT(y) = (AT(x) - mu) * inv_std[t] * weight[j] + (bias ? bias[j] : 0);
  }
}

void FN(layernorm_backward)(T *dx, int accumulate, const T *x, const T *weight, const T *mean, const T *inv_std,
                            const T *dy, size_t rows, size_t cols) {
  ROWS {
    T s = 0, sx = 0;
    COLS {
      const T g = AT(dy) * weight[j];
      s += g;
      sx += g * ((AT(x) - mean[t]) * inv_std[t]);
    }
    const T a = s / (T)cols, b = sx / (T)cols;
    COLS {
      const T d = (AT(dy) * weight[j] - a - (AT(x) - mean[t]) * inv_std[t] * b) * inv_std[t];
      AT(dx) = accumulate ? AT(dx) + d : d;
    }
  }
}

void FN(layernorm_weight_grad_acc)(T *dw, T *db, const T *x, const T *mean, const T *inv_std, const T *dy, size_t rows,
                                   size_t cols) {
  ROWS COLS {
    dw[j] += AT(dy) * ((AT(x) - mean[t]) * inv_std[t]);
    if (db) db[j] += AT(dy);
  }
}

static void FN(softmax_row)(T *s, size_t cols, size_t lo, size_t hi, T scale, const uint8_t *allowed) {
  T top = -(T)INFINITY, total = 0;
  int sees_any = 0;
  COLS if (j >= lo && j < hi && (!allowed || allowed[j])) {
    sees_any = 1;
    top = M(fmax)(top, s[j] * scale);
  }
  COLS {
    const int seen = j >= lo && j < hi && (!allowed || allowed[j]);
    s[j] = seen ? M(exp)(s[j] * scale - top) : 0;
    total += s[j];
  }
  if (sees_any) COLS s[j] /= total;
}

static void FN(softmax_backward_row)(T *d, const T *p, size_t cols, size_t lo, size_t hi, T scale) {
  T mean = 0;
  COLS if (j >= lo && j < hi) mean += d[j] * p[j];
  COLS d[j] = j >= lo && j < hi ? p[j] * (d[j] - mean) * scale : 0;
}

static size_t FN(window_begin)(size_t end, size_t window) { return window && end > window ? end - window : 0; }

void FN(softmax_causal)(T *scores, size_t rows, size_t cols, size_t first_query_position, size_t window, T scale,
                        const uint8_t *allowed) {
  ROWS {
    const size_t end = first_query_position + t + 1;
    FN(softmax_row)(scores + t * cols, cols, FN(window_begin)(end, window), end, scale, allowed);
  }
}

void FN(softmax_masked)(T *scores, size_t rows, size_t cols, const int32_t *lo, const int32_t *hi, T scale,
                        const uint8_t *allowed) {
  ROWS FN(softmax_row)(scores + t * cols, cols, lo ? (size_t)lo[t] : 0, hi ? (size_t)hi[t] : cols, scale, allowed);
}

void FN(softmax_causal_backward)(T *dscores, const T *p, size_t rows, size_t cols, size_t first_query_position,
                                 size_t window, T scale) {
  ROWS {
    const size_t end = first_query_position + t + 1;
    FN(softmax_backward_row)(dscores + t * cols, p + t * cols, cols, FN(window_begin)(end, window), end, scale);
  }
}

void FN(softmax_masked_backward)(T *dscores, const T *p, size_t rows, size_t cols, const int32_t *lo,
                                 const int32_t *hi, T scale) {
  ROWS FN(softmax_backward_row)(dscores + t * cols, p + t * cols, cols, lo ? (size_t)lo[t] : 0,
                                hi ? (size_t)hi[t] : cols, scale);
}

void FN(rope)(T *y, const T *x, const T *cos, const T *sin, const int32_t *positions, size_t rows, size_t heads,
              size_t head_dim, T sign, size_t stride_in, size_t stride_out) {
  const size_t half = head_dim / 2;
  ROWS for (size_t h = 0; h < heads; h++) for (size_t j = 0; j < half; j++) {
    const size_t angle = (positions ? (size_t)positions[t] : t) * half + j;
    const T *in = x + t * stride_in + h * head_dim + j;
    T *out = y + t * stride_out + h * head_dim + j;
    const T a = in[0], b = in[half], c = cos[angle], s = sign * sin[angle];
    out[0] = a * c - b * s;
    out[half] = b * c + a * s;
  }
}

// Returns -log p of the label and leaves e^(x - top) in `e` where that is not NULL.
static double FN(nll_row)(const T *x, T *e, size_t cols, int32_t label, T *total) {
  T top = -(T)INFINITY, s = 0;
  COLS top = M(fmax)(top, x[j]);
  const double target = (double)x[label] - (double)top;
  COLS {
    const T v = M(exp)(x[j] - top);
    s += v;
    if (e) e[j] = v;
  }
  *total = s;
  return log((double)s) - target;
}

void FN(cross_entropy)(T *logits, const int32_t *labels, size_t rows, size_t vocabulary, T scale, double *loss_sum,
                       int *count) {
  const size_t cols = vocabulary;
  ROWS {
    T *row = logits + t * cols, total = 0;
    if (labels[t] < 0 || (size_t)labels[t] >= cols) {
      if (labels[t] != -100) *loss_sum = NAN;
      memset(row, 0, cols * sizeof(T));
      continue;
    }
    *loss_sum += FN(nll_row)(row, row, cols, labels[t], &total);
    *count += 1;
    COLS row[j] = row[j] / total * scale;
    row[labels[t]] -= scale;
  }
}

void FN(cross_entropy_rows)(double *nll, const T *logits, const int32_t *labels, size_t rows, size_t vocabulary) {
  ROWS {
    T total = 0;
    const int valid = labels[t] >= 0 && (size_t)labels[t] < vocabulary;
    nll[t] = valid ? FN(nll_row)(logits + t * vocabulary, NULL, vocabulary, labels[t], &total)
             : labels[t] == -100 ? 0 : NAN;
  }
}

void FN(embed)(T *y, const T *table, const int32_t *ids, size_t rows, size_t cols) {
  ROWS COLS AT(y) = table[(size_t)ids[t] * cols + j];
}

void FN(embed_grad_acc)(T *dtable, const T *dy, const int32_t *ids, size_t rows, size_t cols) {
  ROWS COLS dtable[(size_t)ids[t] * cols + j] += AT(dy);
}

void FN(gemv)(T *y, const T *W, const T *x, size_t row_begin, size_t row_end, size_t cols) {
  for (size_t t = row_begin; t < row_end; t++) {
    T s = 0;
    COLS s += AT(W) * x[j];
    y[t] = s;
  }
}

void FN(gemv_lines)(T *y, const T *W, const T *x, size_t begin, size_t end, size_t lines, size_t stride) {
  for (size_t j = begin; j < end; j++) {
    T s = 0;
    for (size_t l = 0; l < lines; l++) s += x[l] * W[l * stride + j];
    y[j] = s;
  }
}

// A row of v holds `slices` slices of `width`.
#define SLICES for (size_t m = 0; m < slices; m++)
#define WIDTH for (size_t j = 0; j < width; j++)

void FN(slice_sum)(T *y, const T *v, const T *weights, size_t rows, size_t slices, size_t width) {
  ROWS WIDTH {
    T s = 0;
    SLICES if (weights[t * slices + m] != 0) s += weights[t * slices + m] * v[(t * slices + m) * width + j];
    y[t * width + j] = s;
  }
}

void FN(slice_spread)(T *v, const T *y, const T *weights, size_t rows, size_t slices, size_t width) {
  ROWS SLICES WIDTH v[(t * slices + m) * width + j] = weights[t * slices + m] * y[t * width + j];
}

void FN(slice_dot)(T *out, const T *v, const T *y, size_t rows, size_t slices, size_t width) {
  ROWS SLICES {
    T s = 0;
    WIDTH s += v[(t * slices + m) * width + j] * y[t * width + j];
    out[t * slices + m] = s;
  }
}

// Tap m of row k of a wavelet's level, at place i of the numbers it reads.
#define LEVEL for (size_t k = 0; k < half; k++) for (size_t m = 0; m < taps; m++)
#define PLACE ((2 * k + 1 + m + half * taps - taps / 2) % (2 * half))
#define HIGH(m) ((m) % 2 ? -h[taps - 1 - (m)] : h[taps - 1 - (m)])

void FN(wavelet_split)(T *low, T *high, const T *x, const T *h, size_t taps, size_t rows, size_t half, size_t cols,
                       size_t stride_bands, size_t stride_x) {
  ROWS {
    T *l = low + t * stride_bands, *g = high + t * stride_bands;
    for (size_t k = 0; k < half; k++) l[k] = g[k] = 0;
    LEVEL if (PLACE < cols) {
      l[k] += h[m] * x[t * stride_x + PLACE];
      g[k] += HIGH(m) * x[t * stride_x + PLACE];
    }
  }
}

void FN(wavelet_join)(T *x, int accumulate, const T *low, const T *high, const T *h, size_t taps, size_t rows,
                      size_t half, size_t cols, size_t stride_x, size_t stride_bands) {
  ROWS {
    T *row = x + t * stride_x;
    if (!accumulate) COLS row[j] = 0;
    LEVEL if (PLACE < cols) row[PLACE] += h[m] * low[t * stride_bands + k] + HIGH(m) * high[t * stride_bands + k];
  }
}

#undef LEVEL
#undef PLACE
#undef HIGH
#undef SLICES
#undef WIDTH

static T FN(grid_value)(const uint32_t *codes, const float *scales, const uint8_t *zeros, size_t bits, size_t group,
                        size_t words, size_t i) {
  const size_t word = i * bits / 32, shift = i * bits % 32;
  const uint64_t next = word + 1 < words ? codes[word + 1] : 0;
  const uint64_t q = (((next << 32) | codes[word]) >> shift) & ((1u << bits) - 1);
  return ((T)q - (T)zeros[i / group]) * (T)scales[i / group];
}

void FN(decode_grid)(T *y, const uint32_t *codes, const float *scales, const uint8_t *zeros, size_t bits, size_t group,
                     size_t n) {
  const size_t words = (n * bits + 31) / 32;
  for (size_t i = 0; i < n; i++) y[i] = FN(grid_value)(codes, scales, zeros, bits, group, words, i);
}

void FN(gemv_grid)(T *y, const uint32_t *codes, const float *scales, const uint8_t *zeros, const T *x, size_t bits,
                   size_t group, size_t row_begin, size_t row_end, size_t words, size_t cols) {
  for (size_t t = row_begin; t < row_end; t++) {
    T s = 0;
    const size_t g = t * (cols / group);
    COLS s += FN(grid_value)(codes + t * words, scales + g, zeros + g, bits, group, words, j) * x[j];
    y[t] = s;
  }
}

void FN(decode_nibbles)(T *y, const uint8_t *codes, const float *book, const T *peaks, size_t first, size_t block,
                        size_t n) {
  for (size_t i = 0; i < n; i++) {
    const size_t k = first + i;
    const uint8_t code = k % 2 == 0 ? codes[k / 2] >> 4 : codes[k / 2] & 15;
    y[i] = (T)book[code] * peaks[k / block - first / block];
  }
}

void FN(gemv_nibbles)(T *y, const uint8_t *codes, const float *book, const T *peaks, const T *x, size_t block,
                      size_t row_begin, size_t row_end, size_t cols) {
  for (size_t t = row_begin; t < row_end; t++) {
    T s = 0;
    COLS {
      const size_t k = t * cols + j;
      s += (T)book[k % 2 == 0 ? codes[k / 2] >> 4 : codes[k / 2] & 15] * peaks[(k - row_begin * cols) / block] * x[j];
    }
    y[t] = s;
  }
}

#undef ROWS
#undef COLS
#undef AT

void FN(pack_panels)(T *panels, const T *x, size_t stride, int transposed, size_t depth, size_t cols) {
  for (size_t j = 0; j < (cols + 31) / 32 * 32; j++) {
    for (size_t l = 0; l < depth; l++) {
      panels[(j / 32 * depth + l) * 32 + j % 32] = j < cols ? transposed ? x[j * stride + l] : x[l * stride + j] : 0;
    }
  }
}

void FN(panel_product)(T *c, size_t stride, int accumulate, const T *a, size_t row, size_t column, const T *panels,
                       size_t panel_depth, size_t rows, size_t cols, size_t depth, int causal, size_t first,
                       size_t window) {
#define IS_HIDDEN(key, query) ((key) > first + (query) || (window && (key) + window <= first + (query)))
  for (size_t i = 0; i < rows; i++) {
    for (size_t j = 0; j < cols; j++) {
      if (causal == CK_CAUSAL_COLUMNS && IS_HIDDEN(j, i)) continue;
      T sum = 0;
      for (size_t l = 0; l < depth; l++) {
        if ((causal == CK_CAUSAL_DEPTH && IS_HIDDEN(l, i)) || (causal == CK_CAUSAL_ROWS && IS_HIDDEN(i, l))) continue;
        sum += a[i * row + l * column] * panels[(j / 32 * panel_depth + l) * 32 + j % 32];
      }
      c[i * stride + j] = accumulate ? c[i * stride + j] + sum : sum;
    }
  }
}
#undef IS_HIDDEN
