// Included by reference.c per type: T, FN(name). Hadamard transforms and sparse matrices.

void FN(hadamard)(T *y, int accumulate, const T *x, const T *base, int transposed, T scale, T *scratch, size_t rows,
                  size_t from, size_t to, size_t order, size_t size) {
  const size_t width = size / order;
  for (size_t t = 0; t < rows; t++) {
    for (size_t j = 0; j < size; j++) scratch[j] = j < from ? scale * x[t * from + j] : 0;
    for (size_t h = 1; h < width; h *= 2) {
      for (size_t start = 0; start < size; start += 2 * h) {
        for (size_t j = start; j < start + h; j++) {
          const T a = scratch[j], b = scratch[j + h];
          scratch[j] = a + b;
          scratch[j + h] = a - b;
        }
      }
    }
    for (size_t j = 0; j < to; j++) {
      const size_t k = j / width, s = j % width;
      T sum = order == 1 ? scratch[j] : 0;
      for (size_t m = 0; m < order && order > 1; m++) {
        sum += (transposed ? base[m * order + k] : base[k * order + m]) * scratch[m * width + s];
      }
      y[t * to + j] = accumulate ? y[t * to + j] + sum : sum;
    }
  }
}

int FN(entries_fit)(const T *row, const T *column, size_t count, size_t outputs, size_t inputs) {
  for (size_t l = 0; l < count; l++) {
    if (!(row[l] >= 0 && row[l] < (T)outputs && column[l] >= 0 && column[l] < (T)inputs)) return 0;
    if ((T)(int64_t)row[l] != row[l] || (T)(int64_t)column[l] != column[l]) return 0;
    if (l > 0 && !(row[l - 1] < row[l] || (row[l - 1] == row[l] && column[l - 1] < column[l]))) return 0;
  }
  return 1;
}

#define TOKENS for (size_t t = 0; t < 32; t++)

void FN(to_tile)(T *tile, const T *x, size_t rows, size_t cols) {
  for (size_t j = 0; j < cols; j++) TOKENS tile[j * 32 + t] = t < rows ? x[t * cols + j] : 0;
}

void FN(from_tile)(T *x, int accumulate, const T *tile, size_t rows, size_t cols) {
  for (size_t t = 0; t < rows; t++) {
    for (size_t j = 0; j < cols; j++) x[t * cols + j] = (accumulate ? x[t * cols + j] : 0) + tile[j * 32 + t];
  }
}

#define ENTRIES                           \
  for (size_t l = 0; l < count; l++) {    \
    const size_t i = (size_t)row[l];      \
    const size_t j = (size_t)column[l];
#define END }

void FN(entries_acc)(T *y, const T *theta, const T *row, const T *column, T scale, const T *z, size_t count) {
  ENTRIES TOKENS y[i * 32 + t] += scale * theta[l] * z[j * 32 + t];
  END
}

void FN(entries_gradient_acc)(T *dtheta, const T *row, const T *column, T scale, const T *dy, const T *z, size_t count) {
  ENTRIES T s = 0;
  TOKENS s += dy[i * 32 + t] * z[j * 32 + t];
  dtheta[l] += scale * s;
  END
}

void FN(entries_transposed)(T *new_theta, T *new_row, T *new_column, const T *theta, const T *row, const T *column,
                            int32_t *next, size_t count, size_t inputs) {
  // Where each column's entries begin; they come by row, and so they stay.
  memset(next, 0, inputs * sizeof(int32_t));
  for (size_t l = 0; l < count; l++) next[(size_t)column[l]]++;
  int32_t start = 0;
  for (size_t j = 0; j < inputs; j++) {
    const int32_t entries = next[j];
    next[j] = start;
    start += entries;
  }
  for (size_t l = 0; l < count; l++) {
    const int32_t at = next[(size_t)column[l]]++;
    new_theta[at] = theta[l];
    new_row[at] = row[l];
    new_column[at] = column[l];
  }
}

void FN(entries_row_acc)(T *y, const T *theta, const T *row, const T *column, T scale, const T *z, size_t count) {
  ENTRIES y[i] += scale * theta[l] * z[j];
  END
}

void FN(entries_row_backward_acc)(T *dz, T *dtheta, const T *theta, const T *row, const T *column, T scale, const T *dy,
                                  const T *z, size_t count) {
  ENTRIES if (dtheta) dtheta[l] += scale * dy[i] * z[j];
  if (dz) dz[j] += scale * theta[l] * dy[i];
  END
}

#undef TOKENS
#undef ENTRIES
#undef END
