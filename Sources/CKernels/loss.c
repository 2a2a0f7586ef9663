#include "include/kernels.h"
#include "vector.h"

HELPER float row_max(const float *x, size_t n) {
  f32x16 m = (f32x16)-INFINITY;
  EACH(n, GET(p, x); pad16(&p, lanes, -INFINITY); m = __builtin_elementwise_max(m, p););
  return __builtin_reduce_max(m);
}

CLONED void cross_entropy_f32(float *logits, const int32_t *labels, size_t rows, size_t vocabulary, float scale,
                              double *loss_sum, int *count) {
  double loss = 0;
  int labelled = 0;
  for (size_t t = 0; t < rows; t++) {
    float *row = logits + t * vocabulary;
    const int32_t label = labels[t];
    if (label < 0 || (size_t)label >= vocabulary) {
      if (label != -100) loss = NAN;
      memset(row, 0, vocabulary * sizeof(float));
      continue;
    }
    const float top = row_max(row, vocabulary);
    const double target = (double)row[label] - (double)top;
    f32x16 s = (f32x16)0.0f;
    EACH(vocabulary, GET(p, row); p -= top; pad16(&p, lanes, -INFINITY); exp16(&p); s += p; PUT(row, p););
    const float total = sum16(&s), factor = scale / total;
    loss += log((double)total) - target;
    labelled += 1;
    EACH(vocabulary, GET(p, row); PUT(row, p * factor););
    row[label] -= scale;
  }
  *loss_sum += loss;
  *count += labelled;
}

CLONED void cross_entropy_rows_f32(double *nll, const float *logits, const int32_t *labels, size_t rows,
                                   size_t vocabulary) {
  for (size_t t = 0; t < rows; t++) {
    const float *row = logits + t * vocabulary;
    const int32_t label = labels[t];
    if (label < 0 || (size_t)label >= vocabulary) {
      nll[t] = label == -100 ? 0 : NAN;
      continue;
    }
    const float top = row_max(row, vocabulary);
    f32x16 s = (f32x16)0.0f;
    EACH(vocabulary, GET(p, row); p -= top; pad16(&p, lanes, -INFINITY); exp16(&p); s += p;);
    nll[t] = log((double)sum16(&s)) - ((double)row[label] - (double)top);
  }
}
