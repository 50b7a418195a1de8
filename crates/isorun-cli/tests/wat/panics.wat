;; Writes "oh no\n" to its standard error and gives up, as a panic does.
(component
  (import "wasi:io/error@0.2.12" (instance $error (export "error" (type (sub resource)))))
  (alias export $error "error" (type $error-type))
  (import "wasi:io/streams@0.2.12" (instance $streams
    (export "output-stream" (type $out (sub resource)))
    (alias outer 1 $error-type (type $outer-error))
    (export "error" (type $e (eq $outer-error)))
    (type $failed' (variant (case "last-operation-failed" (own $e)) (case "closed")))
    (export "stream-error" (type $failed (eq $failed')))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $out)) (param "contents" (list u8)) (result (result (error $failed)))))))
  (alias export $streams "output-stream" (type $stream))
  (import "wasi:cli/stderr@0.2.12" (instance $stderr
    (alias outer 1 $stream (type $outer-stream))
    (export "output-stream" (type $out (eq $outer-stream)))
    (export "get-stderr" (func (result (own $out))))))
  (core module $L (memory (export "memory") 1) (data (i32.const 64) "oh no\n"))
  (core instance $l (instantiate $L))
  (core func $get (canon lower (func $stderr "get-stderr")))
  (core func $write (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
    (memory (core memory $l "memory"))))
  (core module $M
    (import "wasi" "get" (func $get (result i32)))
    (import "wasi" "write" (func $write (param i32 i32 i32 i32)))
    (import "l" "memory" (memory 1))
    (func (export "run")
      (call $write (call $get) (i32.const 64) (i32.const 6) (i32.const 16))
      unreachable))
  (core instance $m (instantiate $M
    (with "l" (instance $l))
    (with "wasi" (instance (export "get" (func $get)) (export "write" (func $write))))))
  (func (export "run") (canon lift (core func $m "run"))))
