#include "include/kernels.h"
#include "vector.h"

CLONED void add_f32(float *y, const float *a, const float *b, size_t n) {
  EACH(n, GET(p, a); GET(q, b); PUT(y, p + q););
}

CLONED void sub_f32(float *y, const float *a, const float *b, size_t n) {
  EACH(n, GET(p, a); GET(q, b); PUT(y, p - q););
}

CLONED void div_f32(float *y, const float *a, const float *b, size_t n) {
  EACH(n, GET(p, a); GET(q, b); PUT(y, p / q););
}

CLONED void square_root_f32(float *y, const float *x, size_t n) {
  EACH(n, GET(p, x); p = (p < 0.0f) ? (f32x16)0.0f : p; PUT(y, __builtin_elementwise_sqrt(p)););
}

CLONED void square_root_backward_acc_f32(float *dx, const float *y, const float *dy, size_t n) {
  EACH(n, GET(p, y); GET(g, dy); GET(o, dx); PUT(dx, o + ((p == 0.0f) ? (f32x16)0.0f : g / (2.0f * p))););
}

CLONED void mul_f32(float *y, const float *a, const float *b, size_t n) {
  EACH(n, GET(p, a); GET(q, b); PUT(y, p * q););
}

CLONED void mul_acc_f32(float *y, const float *a, const float *b, size_t n) {
  EACH(n, GET(p, a); GET(q, b); GET(o, y); PUT(y, p * q + o););
}

CLONED void axpy_f32(float *y, float alpha, const float *x, size_t n) {
  EACH(n, GET(p, x); GET(o, y); PUT(y, p * alpha + o););
}

CLONED void scale_f32(float *y, float alpha, const float *x, size_t n) {
  EACH(n, GET(p, x); PUT(y, p * alpha););
}

CLONED void add_row_f32(float *y, const float *x, const float *row, size_t rows, size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    EACH(cols, GET(p, x + t * cols); GET(q, row); PUT(y + t * cols, p + q););
  }
}

CLONED void mul_row_f32(float *y, const float *x, const float *row, size_t rows, size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    EACH(cols, GET(p, x + t * cols); GET(q, row); PUT(y + t * cols, p * q););
  }
}

CLONED void mul_col_f32(float *y, const float *x, const float *col, size_t rows, size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    const float c = col[t];
    EACH(cols, GET(p, x + t * cols); PUT(y + t * cols, p * c););
  }
}

CLONED void col_sum_acc_f32(float *out, const float *x, size_t rows, size_t cols) {
  size_t t = 0;
  for (; t + 4 <= rows; t += 4) {
    const float *x0 = x + t * cols, *x1 = x0 + cols, *x2 = x1 + cols, *x3 = x2 + cols;
    EACH(cols, GET(a, x0); GET(b, x1); GET(c, x2); GET(d, x3); GET(o, out); PUT(out, o + ((a + b) + (c + d))););
  }
  for (; t < rows; t++) {
    EACH(cols, GET(a, x + t * cols); GET(o, out); PUT(out, o + a););
  }
}

CLONED void row_dot_f32(float *out, const float *a, const float *b, size_t rows, size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    f32x16 s = (f32x16)0.0f;
    EACH(cols, GET(p, a + t * cols); GET(q, b + t * cols); s = p * q + s;);
    out[t] = sum16(&s);
  }
}

CLONED double sum_f32(const float *x, size_t n) {
  f64x16 s = (f64x16)0.0;
  EACH(n, GET(p, x); s += __builtin_convertvector(p, f64x16););
  return sum16_f64(&s);
}

CLONED double sum_squares_f32(const float *x, size_t n) {
  f64x16 s = (f64x16)0.0;
  EACH(n, GET(p, x); const f64x16 d = __builtin_convertvector(p, f64x16); s = d * d + s;);
  return sum16_f64(&s);
}

CLONED float max_abs_f32(const float *x, size_t n) {
  f32x16 m = (f32x16)0.0f;
  EACH(n, GET(p, x); m = __builtin_elementwise_max(m, __builtin_elementwise_abs(p)););
  return __builtin_reduce_max(m);
}

CLONED int all_finite_f32(const float *x, size_t n) {
  i32x16 bad = (i32x16)0;
  EACH(n, GET(p, x); bad |= ((i32x16)p & 0x7F800000) == 0x7F800000;);
  return __builtin_reduce_or(bad) == 0;
}
