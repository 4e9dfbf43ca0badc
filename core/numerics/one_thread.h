#pragma once

namespace bissl::host {

/// One thread for LibTorch and its BLAS on the calling thread as long as it lives. Matrix products
/// and what LAPACK computes are sums that several threads divide among themselves, so their last
/// digits depend on the number of threads. What must not, because a long descent follows that makes
/// any difference large, is computed by one. The BLAS must take its threads from OpenMP, as
/// OpenBLAS's OpenMP build and MKL do; another one's number of threads is its own, whatever
/// LibTorch's is. Guards may nest.
class OneThread {
 public:
  OneThread();
  ~OneThread();
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int before_;
};

}  // namespace bissl::host
