;; Shows what a guest sees of a call that fails.
;;
;;   world {
;;     import test:fail/svc@0.1.0;                             // fail-provider.wat says what it does
;;     export run: func(n: u32) -> result<u32, string>;        // the error as text: `refused: why`, `deadline`
;;     export forward: func(n: u32) -> result<u32, rpc-error>; // the error as it came
;;     export plain: func(n: u32) -> u32;                      // no room for an error, so a failure traps
;;   }
(component
  (import "isorun:link/types@0.1.0" (instance $link
    (type $rpc-error' (variant
      (case "not-sent" string) (case "unknown" string) (case "refused" string) (case "failed" string)
      (case "deadline") (case "cancelled")))
    (export "rpc-error" (type (eq $rpc-error')))))
  (alias export $link "rpc-error" (type $rpc-error))
  (import "test:fail/svc@0.1.0" (instance $svc
    (alias outer 1 $rpc-error (type $e))
    (export "rpc-error" (type $rpc-error' (eq $e)))
    (export "do" (func (param "n" u32) (result (result u32 (error $rpc-error')))))
    (export "plain" (func (param "n" u32) (result u32)))))
  (core module $L
    (memory (export "memory") 1)
    (global $top (export "top") (mut i32) (i32.const 4096))
    ;; Never moves back but by post-return; grows the memory as far as the host lets it.
    (func (export "realloc") (param $old i32) (param $old_n i32) (param $align i32) (param $n i32) (result i32)
      (local $p i32)
      (local.set $p (i32.and
        (i32.add (global.get $top) (i32.sub (local.get $align) (i32.const 1)))
        (i32.sub (i32.const 0) (local.get $align))))
      (global.set $top (i32.add (local.get $p) (local.get $n)))
      (if (i32.gt_u (global.get $top) (i32.shl (memory.size) (i32.const 16)))
        (then (if (i32.eq (i32.const -1)
          (memory.grow (i32.add (i32.const 1) (i32.shr_u
            (i32.sub (global.get $top) (i32.shl (memory.size) (i32.const 16))) (i32.const 16)))))
          (then unreachable))))
      (memory.copy (local.get $p) (local.get $old) (local.get $old_n))
      (local.get $p)))
  (core instance $l (instantiate $L))
  (core func $do (canon lower (func $svc "do")
    (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
  (core func $plain (canon lower (func $svc "plain")))
  (core module $M
    (import "l" "memory" (memory 1))
    (import "l" "top" (global $top (mut i32)))
    (import "l" "realloc" (func $realloc (param i32 i32 i32 i32) (result i32)))
    (import "svc" "do" (func $do (param i32 i32)))
    (import "svc" "plain" (func $plain (param i32) (result i32)))
    ;; The names of the cases, 16 bytes each, and their lengths.
    (data (i32.const 1024) "not-sent: \00\00\00\00\00\00unknown: \00\00\00\00\00\00\00refused: \00\00\00\00\00\00\00failed: \00\00\00\00\00\00\00\00deadline\00\00\00\00\00\00\00\00cancelled")
    (data (i32.const 1152) "\0a\09\09\08\08\09")
    ;; The callee's result lies at 16: 0 for ok with the number at 20; 1 for err with the case at 20, its string at 24.
    (func (export "forward") (param $n i32) (result i32)
      (call $do (local.get $n) (i32.const 16))
      (i32.const 16))
    ;; Ours at 48: 0 for ok with the number at 52; 1 for err with the string at 52.
    (func (export "run") (param $n i32) (result i32)
      (local $case i32) (local $name_n i32) (local $text_n i32) (local $out i32)
      (call $do (local.get $n) (i32.const 16))
      (i32.store (i32.const 48) (i32.load8_u (i32.const 16)))
      (if (i32.eqz (i32.load8_u (i32.const 16))) (then
        (i32.store (i32.const 52) (i32.load (i32.const 20)))
        (return (i32.const 48))))
      (local.set $case (i32.load8_u (i32.const 20)))
      (local.set $name_n (i32.load8_u offset=1152 (local.get $case)))
      (if (i32.lt_u (local.get $case) (i32.const 4)) (then (local.set $text_n (i32.load (i32.const 28)))))
      (local.set $out (call $realloc (i32.const 0) (i32.const 0) (i32.const 1)
        (i32.add (local.get $name_n) (local.get $text_n))))
      (memory.copy (local.get $out) (i32.add (i32.const 1024) (i32.shl (local.get $case) (i32.const 4)))
        (local.get $name_n))
      (memory.copy (i32.add (local.get $out) (local.get $name_n)) (i32.load (i32.const 24)) (local.get $text_n))
      (i32.store (i32.const 52) (local.get $out))
      (i32.store (i32.const 56) (i32.add (local.get $name_n) (local.get $text_n)))
      (i32.const 48))
    (func (export "plain") (param $n i32) (result i32) (call $plain (local.get $n)))
    (func (export "post") (param i32) (global.set $top (i32.const 4096)))
  )
  (core instance $m (instantiate $M
    (with "l" (instance $l))
    (with "svc" (instance (export "do" (func $do)) (export "plain" (func $plain))))))
  (func (export "run") (param "n" u32) (result (result u32 (error string)))
    (canon lift (core func $m "run") (memory (core memory $l "memory")) (realloc (core func $l "realloc"))
      (post-return (core func $m "post"))))
  (func (export "forward") (param "n" u32) (result (result u32 (error $rpc-error)))
    (canon lift (core func $m "forward") (memory (core memory $l "memory")) (realloc (core func $l "realloc"))
      (post-return (core func $m "post"))))
  (func (export "plain") (param "n" u32) (result u32) (canon lift (core func $m "plain")))
)
