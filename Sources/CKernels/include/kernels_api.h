// Included by kernels.h once per element type, with CK_T and CK_FN defined. T below is CK_T.

// ---- elementwise.c
void CK_FN(add)(CK_T *y, const CK_T *a, const CK_T *b, size_t n);
void CK_FN(sub)(CK_T *y, const CK_T *a, const CK_T *b, size_t n);
void CK_FN(mul)(CK_T *y, const CK_T *a, const CK_T *b, size_t n);
void CK_FN(div)(CK_T *y, const CK_T *a, const CK_T *b, size_t n);
void CK_FN(square_root)(CK_T *y, const CK_T *x, size_t n);  // 0 where x is negative
void CK_FN(square_root_backward_acc)(CK_T *dx, const CK_T *y, const CK_T *dy, size_t n);  // 0 where y is 0
void CK_FN(mul_acc)(CK_T *y, const CK_T *a, const CK_T *b, size_t n);
void CK_FN(axpy)(CK_T *y, CK_T alpha, const CK_T *x, size_t n);   // y += alpha x
void CK_FN(scale)(CK_T *y, CK_T alpha, const CK_T *x, size_t n);  // y = alpha x
void CK_FN(add_row)(CK_T *y, const CK_T *x, const CK_T *row, size_t rows, size_t cols);
void CK_FN(mul_row)(CK_T *y, const CK_T *x, const CK_T *row, size_t rows, size_t cols);
void CK_FN(mul_col)(CK_T *y, const CK_T *x, const CK_T *col, size_t rows, size_t cols);  // y[t,:] = x[t,:] col[t]
void CK_FN(col_sum_acc)(CK_T *out, const CK_T *x, size_t rows, size_t cols);             // out[cols]
void CK_FN(row_dot)(CK_T *out, const CK_T *a, const CK_T *b, size_t rows, size_t cols);  // out[rows]
double CK_FN(sum)(const CK_T *x, size_t n);
double CK_FN(sum_squares)(const CK_T *x, size_t n);
CK_T CK_FN(max_abs)(const CK_T *x, size_t n);  // 0 when n is 0; NaN elements are skipped
int CK_FN(all_finite)(const CK_T *x, size_t n);

// ---- activation.c: backward passes add dy f'(x) into dx, given the output y or the input x.
void CK_FN(exp)(CK_T *y, const CK_T *x, size_t n);
void CK_FN(exp_backward_acc)(CK_T *dx, const CK_T *y, const CK_T *dy, size_t n);
void CK_FN(tanh)(CK_T *y, const CK_T *x, size_t n);
void CK_FN(tanh_backward_acc)(CK_T *dx, const CK_T *y, const CK_T *dy, size_t n);
void CK_FN(sigmoid)(CK_T *y, const CK_T *x, size_t n);
void CK_FN(sigmoid_backward_acc)(CK_T *dx, const CK_T *y, const CK_T *dy, size_t n);
void CK_FN(relu)(CK_T *y, const CK_T *x, size_t n);
void CK_FN(relu_backward_acc)(CK_T *dx, const CK_T *y, const CK_T *dy, size_t n);  // y may as well be x
void CK_FN(gelu_tanh)(CK_T *y, const CK_T *x, size_t n);                           // "gelu_new"
void CK_FN(gelu_tanh_backward_acc)(CK_T *dx, const CK_T *x, const CK_T *dy, size_t n);
void CK_FN(gelu_erf)(CK_T *y, const CK_T *x, size_t n);
void CK_FN(gelu_erf_backward_acc)(CK_T *dx, const CK_T *x, const CK_T *dy, size_t n);
void CK_FN(silu)(CK_T *y, const CK_T *x, size_t n);
void CK_FN(silu_backward_acc)(CK_T *dx, const CK_T *x, const CK_T *dy, size_t n);
void CK_FN(swiglu)(CK_T *y, const CK_T *g, const CK_T *u, size_t n);  // y = silu(g) u
void CK_FN(swiglu_backward)(CK_T *dg, CK_T *du, const CK_T *g, const CK_T *u, const CK_T *dy, size_t n);
void CK_FN(geglu_tanh)(CK_T *y, const CK_T *g, const CK_T *u, size_t n);  // y = gelu_tanh(g) u
void CK_FN(geglu_tanh_backward)(CK_T *dg, CK_T *du, const CK_T *g, const CK_T *u, const CK_T *dy, size_t n);
void CK_FN(softcap)(CK_T *y, const CK_T *x, CK_T scale, CK_T cap, size_t n);  // y = cap tanh(scale x / cap)
// dx = dy y', given the output y.
void CK_FN(softcap_backward)(CK_T *dx, const CK_T *y, const CK_T *dy, CK_T scale, CK_T cap, size_t n);

// ---- norms.c: inv_rms, mean and inv_std are [rows]. With accumulate != 0 dx is added to.
void CK_FN(rmsnorm)(CK_T *y, CK_T *inv_rms, const CK_T *x, const CK_T *weight, CK_T eps, size_t rows, size_t cols);
void CK_FN(rmsnorm_backward)(CK_T *dx, int accumulate, const CK_T *x, const CK_T *weight, const CK_T *inv_rms,
                             const CK_T *dy, size_t rows, size_t cols);
void CK_FN(rmsnorm_weight_grad_acc)(CK_T *dw, const CK_T *x, const CK_T *inv_rms, const CK_T *dy, size_t rows,
                                    size_t cols);
// bias and db may be NULL.
void CK_FN(layernorm)(CK_T *y, CK_T *mean, CK_T *inv_std, const CK_T *x, const CK_T *weight, const CK_T *bias,
                      CK_T eps, size_t rows, size_t cols);
void CK_FN(layernorm_backward)(CK_T *dx, int accumulate, const CK_T *x, const CK_T *weight, const CK_T *mean,
                               const CK_T *inv_std, const CK_T *dy, size_t rows, size_t cols);
void CK_FN(layernorm_weight_grad_acc)(CK_T *dw, CK_T *db, const CK_T *x, const CK_T *mean, const CK_T *inv_std,
                                      const CK_T *dy, size_t rows, size_t cols);

// ---- softmax.c: in place, softmax(scale s) over the columns a row sees; all others become 0.
// Row i of the causal form sees columns j <= first_query_position + i, of these the last `window`, where that is not 0; of the
// masked form lo[i] <= j < hi[i]
// (NULL lo: 0; NULL hi: cols; both lie in 0...cols). A column whose allowed byte is 0 is seen by no row (NULL: all are allowed).
// A row that sees nothing becomes 0; one that sees NaN, or nothing but -inf, becomes NaN where it sees anything.
void CK_FN(softmax_causal)(CK_T *scores, size_t rows, size_t cols, size_t first_query_position, size_t window, CK_T scale,
                           const uint8_t *allowed);
void CK_FN(softmax_masked)(CK_T *scores, size_t rows, size_t cols, const int32_t *lo, const int32_t *hi, CK_T scale,
                           const uint8_t *allowed);
// In place dp -> ds = p (dp - sum(dp p)) scale over the same columns, 0 elsewhere.
void CK_FN(softmax_causal_backward)(CK_T *dscores, const CK_T *p, size_t rows, size_t cols,
                                    size_t first_query_position, size_t window, CK_T scale);
void CK_FN(softmax_masked_backward)(CK_T *dscores, const CK_T *p, size_t rows, size_t cols, const int32_t *lo,
                                    const int32_t *hi, CK_T scale);

// ---- panels.c: products of attention's size. Panels hold B [depth, cols] 32 columns at a time, row after row, with 0 for missing
// columns: depth ceil(cols / 32) 32 numbers. B[l,j] is x[l stride + j], transposed x[j stride + l].
void CK_FN(pack_panels)(CK_T *panels, const CK_T *x, size_t stride, int transposed, size_t depth, size_t cols);
// C[rows, cols] = A B, or added to C; A[i,l] is a[i row + l column]. Panels may be deeper and have more columns than are used.
// causal says what need not be computed: CK_CAUSAL_COLUMNS leaves C[i,j] as it is for some j > first + i, CK_CAUSAL_DEPTH takes
// A[i,l] for 0 where l > first + i, CK_CAUSAL_ROWS where i > first + l; 0 computes all. With a window that is
// not 0 the same goes for what lies that far back or farther: j, l <= first + i - window, i <= first + l - window.
void CK_FN(panel_product)(CK_T *c, size_t stride, int accumulate, const CK_T *a, size_t row, size_t column,
                          const CK_T *panels, size_t panel_depth, size_t rows, size_t cols, size_t depth, int causal,
                          size_t first, size_t window);

// ---- slices.c: v holds `slices` rows of `width` for every row; weights are [rows, slices]. No array may overlap another.
void CK_FN(slice_sum)(CK_T *y, const CK_T *v, const CK_T *weights, size_t rows, size_t slices,
                      size_t width);  // y[t,:] = sum over m of weights[t,m] v[t,m,:]; a slice of weight 0 is not read
void CK_FN(slice_spread)(CK_T *v, const CK_T *y, const CK_T *weights, size_t rows, size_t slices,
                         size_t width);  // v[t,m,:] = weights[t,m] y[t,:]
void CK_FN(slice_dot)(CK_T *out, const CK_T *v, const CK_T *y, size_t rows, size_t slices,
                      size_t width);  // out[t,m] = v[t,m,:] . y[t,:]

// ---- wavelet.c: one level of a periodised orthogonal wavelet transform on rows of 2 half numbers, of which x holds the first
// `cols` and the others are 0. h holds the low-pass filter's taps, an even number up to 64; rows are `stride` apart. With
// i = (2k + 1 - taps/2 + m) mod 2 half:
//   split  low[k] = sum over m of h[m] x[i],  high[k] = sum over m of (-1)^m h[taps - 1 - m] x[i]
//   join   its adjoint and, before x is cut to `cols`, its inverse; with accumulate != 0 x is added to
// No array may overlap another.
void CK_FN(wavelet_split)(CK_T *low, CK_T *high, const CK_T *x, const CK_T *h, size_t taps, size_t rows, size_t half,
                          size_t cols, size_t stride_bands, size_t stride_x);
void CK_FN(wavelet_join)(CK_T *x, int accumulate, const CK_T *low, const CK_T *high, const CK_T *h, size_t taps,
                         size_t rows, size_t half, size_t cols, size_t stride_x, size_t stride_bands);

// ---- rope.c: rotate the pairs (j, j + head_dim/2) of each head by sign times the angle; sign -1 is the backward.
// cos and sin are [positions, head_dim/2]; NULL positions: 0, 1, 2, ... Row t is at y + t stride_out, x + t stride_in.
void CK_FN(rope)(CK_T *y, const CK_T *x, const CK_T *cos, const CK_T *sin, const int32_t *positions, size_t rows,
                 size_t heads, size_t head_dim, CK_T sign, size_t stride_in, size_t stride_out);

// ---- loss.c: a row labelled -100 is ignored; any other label outside 0..<vocabulary makes the loss NaN.
// Adds sum(-log p) to *loss_sum and the labelled rows to *count; logits become (softmax - onehot) scale, ignored rows 0.
void CK_FN(cross_entropy)(CK_T *logits, const int32_t *labels, size_t rows, size_t vocabulary, CK_T scale,
                          double *loss_sum, int *count);
// Forward only: -log p of each row, 0 where ignored.
void CK_FN(cross_entropy_rows)(double *nll, const CK_T *logits, const int32_t *labels, size_t rows, size_t vocabulary);

// ---- optimizer.c: one step of torch.optim.AdamW in its order of operations; bias corrections are 1 - beta^t.
void CK_FN(adamw)(CK_T *param, const CK_T *grad, CK_T *m, CK_T *v, double lr, double beta1, double beta2, double eps,
                  double weight_decay, double bias_correction1, double bias_correction2, size_t n);

// ---- random.c: element y[i] follows word first + i of the endless sequence (key, stream), however a caller splits it.
// y = keep ? x / (1 - p) : 0 with the same mask in every type; applied to dy it is the backward.
void CK_FN(dropout)(CK_T *y, const CK_T *x, double p, uint64_t key, uint64_t stream, uint64_t first, size_t n);

// ---- gather.c: indices are trusted. Outputs may not overlap inputs.
void CK_FN(gather_scaled)(CK_T *y, const CK_T *theta, const int32_t *idx, const CK_T *norms, size_t n);
void CK_FN(scatter_add)(CK_T *g_theta, const CK_T *g, const int32_t *idx, size_t n);  // g_theta[idx[i]] += g[i]
void CK_FN(embed)(CK_T *y, const CK_T *table, const int32_t *ids, size_t rows, size_t cols);
void CK_FN(embed_grad_acc)(CK_T *dtable, const CK_T *dy, const int32_t *ids, size_t rows, size_t cols);
// y[o] = W[o,:] . x for row_begin <= o < row_end; W is [rows, cols].
void CK_FN(gemv)(CK_T *y, const CK_T *W, const CK_T *x, size_t row_begin, size_t row_end, size_t cols);
// y[j] = sum over l of x[l] W[l,j] for begin <= j < end; W is [lines, stride].
void CK_FN(gemv_lines)(CK_T *y, const CK_T *W, const CK_T *x, size_t begin, size_t end, size_t lines, size_t stride);

// ---- codes.c: y[i] = (q_i - zeros[i / group]) scales[i / group] for one row of n codes of 2, 3, 4 or 8 bits, packed lowest bit
// first into whole words; group divides n. No array may overlap another.
void CK_FN(decode_grid)(CK_T *y, const uint32_t *codes, const float *scales, const uint8_t *zeros, size_t bits, size_t group,
                        size_t n);
// y[i] = book[c] peaks[(first + i) / block - first / block] for the codes c at first, first + 1, ...: two a byte, the even one high.
void CK_FN(decode_nibbles)(CK_T *y, const uint8_t *codes, const float *book, const CK_T *peaks, size_t first, size_t block,
                           size_t n);

// ---- gemv_codes.c
// y[o] = W[o,:] . x for row_begin <= o < row_end, rows of W as decode_grid reads them: `words` words and cols / group scales and
// zeros each. group is a multiple of 16.
void CK_FN(gemv_grid)(CK_T *y, const uint32_t *codes, const float *scales, const uint8_t *zeros, const CK_T *x, size_t bits,
                      size_t group, size_t row_begin, size_t row_end, size_t words, size_t cols);
// y[o] = W[o,:] . x for row_begin <= o < row_end, rows of W as decode_nibbles reads them, whose blocks end where rows do and are
// multiples of 16; peaks begins with those of row_begin.
void CK_FN(gemv_nibbles)(CK_T *y, const uint8_t *codes, const float *book, const CK_T *peaks, const CK_T *x, size_t block,
                         size_t row_begin, size_t row_end, size_t cols);

// ---- merge.c: a matrix of distances between the rows of two thin ones, a0 and a1 [q, cols], b0 and b1 [rows, q]:
//   d[t,i] = c (|a0[:,i] - b0[t,:]| - |a1[:,i] - b1[t,:]|)
// Rows of d and g start `stride` numbers apart, rows of the a's and da's `stride_a`, so that a caller may cut columns too.
void CK_FN(merge)(CK_T *d, const CK_T *a0, const CK_T *a1, const CK_T *b0, const CK_T *b1, CK_T c, size_t rows,
                  size_t cols, size_t q, size_t stride, size_t stride_a);
// Adds what the gradient g of d makes of the a's and b's; 0 where a distance is 0. Blocks where g is 0 are passed over.
void CK_FN(merge_backward_acc)(CK_T *da0, CK_T *da1, CK_T *db0, CK_T *db1, const CK_T *g, const CK_T *a0, const CK_T *a1,
                               const CK_T *b0, const CK_T *b1, CK_T c, size_t rows, size_t cols, size_t q, size_t stride,
                               size_t stride_a);
// y = x gate(d): |d| where |d| is not at most t, else 0 (soft: |d| - t there).
void CK_FN(merge_gate)(CK_T *y, const CK_T *x, const CK_T *d, CK_T t, int soft, size_t n);
// Of the bits of |x[i]|: counts[(bits >> shift) % 2^width]++ where bits >> (shift + width) is `prefix`.
void CK_FN(magnitude_counts)(uint32_t *counts, const CK_T *x, size_t n, unsigned shift, unsigned width, uint64_t prefix);
// The smallest |x[i]| above t; infinity where there is none.
CK_T CK_FN(magnitude_above)(const CK_T *x, size_t n, CK_T t);

// ---- hadamard.c: H = base (x) Sylvester of `size` = order 2^a; base is [order, order] of +-1, NULL where order is 1.
// y[t,:] = scale H x[t,:], or scale H' x[t,:] where transposed; x is [rows, from], read as if padded with zeros to size, of
// the result y [rows, to] takes the first `to`, or adds them where accumulate. scratch holds size numbers. No overlaps.
void CK_FN(hadamard)(CK_T *y, int accumulate, const CK_T *x, const CK_T *base, int transposed, CK_T scale,
                     CK_T *scratch, size_t rows, size_t from, size_t to, size_t order, size_t size);

// ---- sparse.c: entry l of a matrix stands at (row[l], column[l]): whole numbers, ascending by row, then by column.
// 1 where the `count` entries are that and lie in [outputs, inputs], else 0. The other functions trust them.
int CK_FN(entries_fit)(const CK_T *row, const CK_T *column, size_t count, size_t outputs, size_t inputs);
// A tile holds 32 tokens side by side: tile[j,t] = x[t,j], 0 for t from rows (at most 32) on; and back.
void CK_FN(to_tile)(CK_T *tile, const CK_T *x, size_t rows, size_t cols);
void CK_FN(from_tile)(CK_T *x, int accumulate, const CK_T *tile, size_t rows, size_t cols);
// On tiles: y[row[l],:] += scale theta[l] z[column[l],:].
void CK_FN(entries_acc)(CK_T *y, const CK_T *theta, const CK_T *row, const CK_T *column, CK_T scale, const CK_T *z,
                        size_t count);
// dtheta[l] += scale dy[row[l],:] . z[column[l],:].
void CK_FN(entries_gradient_acc)(CK_T *dtheta, const CK_T *row, const CK_T *column, CK_T scale, const CK_T *dy,
                                 const CK_T *z, size_t count);
// The entries of the transpose: new_* list them ascending by column, then by row. next holds inputs numbers.
void CK_FN(entries_transposed)(CK_T *new_theta, CK_T *new_row, CK_T *new_column, const CK_T *theta, const CK_T *row,
                               const CK_T *column, int32_t *next, size_t count, size_t inputs);
// For one token, y, z, dy, dz rows of activations: y as above; then dtheta[l] += scale dy[row[l]] z[column[l]] and
// dz[column[l]] += scale theta[l] dy[row[l]], either of which may be NULL.
void CK_FN(entries_row_acc)(CK_T *y, const CK_T *theta, const CK_T *row, const CK_T *column, CK_T scale, const CK_T *z,
                            size_t count);
void CK_FN(entries_row_backward_acc)(CK_T *dz, CK_T *dtheta, const CK_T *theta, const CK_T *row, const CK_T *column,
                                     CK_T scale, const CK_T *dy, const CK_T *z, size_t count);
