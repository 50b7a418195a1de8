;; A provider that fails as it is told to.
;;
;;   interface test:fail/svc@0.1.0 {
;;     use isorun:link/types@0.1.0.{rpc-error};
;;     do: func(n: u32) -> result<u32, rpc-error>;
;;     plain: func(n: u32) -> u32;
;;   }
;;   world { export svc }
;;
;; Both by `n`: 0 traps; 1 never ends; 2 grows its memory until it gets no more, and traps; 3 calls itself without
;; end; 4 grows its table until it gets no more, and traps; anything else is returned. `do` also knows 5: an error of
;; its own, `refused("asked to")`.
(component
  (import "isorun:link/types@0.1.0" (instance $link
    (type $rpc-error' (variant
      (case "not-sent" string) (case "unknown" string) (case "refused" string) (case "failed" string)
      (case "deadline") (case "cancelled")))
    (export "rpc-error" (type (eq $rpc-error')))))
  (alias export $link "rpc-error" (type $rpc-error))
  (core module $M
    (memory (export "memory") 1)
    (table $table 1 funcref)
    (data (i32.const 1024) "asked to")
    (func $recurse (param $n i32) (result i32)
      (i32.add (call $recurse (i32.add (local.get $n) (i32.const 1))) (i32.const 1)))
    (func $plain (export "plain") (param $n i32) (result i32)
      (if (i32.eq (local.get $n) (i32.const 0)) (then unreachable))
      (if (i32.eq (local.get $n) (i32.const 1)) (then (loop $for-ever (br $for-ever))))
      (if (i32.eq (local.get $n) (i32.const 2)) (then
        (loop $more (br_if $more (i32.ne (memory.grow (i32.const 1)) (i32.const -1))))
        unreachable))
      (if (i32.eq (local.get $n) (i32.const 3)) (then (return (call $recurse (i32.const 0)))))
      (if (i32.eq (local.get $n) (i32.const 4)) (then
        (loop $more (br_if $more (i32.ne (table.grow $table (ref.null func) (i32.const 1024)) (i32.const -1))))
        unreachable))
      (local.get $n))
    ;; The result lies at 16: 0 for ok with the number at 20; 1 for err with the case at 20 and its string at 24.
    (func (export "do") (param $n i32) (result i32)
      (i32.store (i32.const 16) (i32.eq (local.get $n) (i32.const 5)))
      (if (i32.eq (local.get $n) (i32.const 5))
        (then
          (i32.store (i32.const 20) (i32.const 2))
          (i32.store (i32.const 24) (i32.const 1024))
          (i32.store (i32.const 28) (i32.const 8)))
        (else (i32.store (i32.const 20) (call $plain (local.get $n)))))
      (i32.const 16))
  )
  (core instance $m (instantiate $M))
  (func $do (param "n" u32) (result (result u32 (error $rpc-error)))
    (canon lift (core func $m "do") (memory (core memory $m "memory"))))
  (func $plain (param "n" u32) (result u32) (canon lift (core func $m "plain")))
  ;; Names the types of the interface for its functions.
  (component $Svc
    (import "import-rpc-error" (type $e (eq $rpc-error)))
    (import "import-do" (func $do (param "n" u32) (result (result u32 (error $e)))))
    (import "import-plain" (func $plain (param "n" u32) (result u32)))
    (export $rpc-error' "rpc-error" (type $e))
    (export "do" (func $do) (func (param "n" u32) (result (result u32 (error $rpc-error')))))
    (export "plain" (func $plain)))
  (instance $svc (instantiate $Svc
    (with "import-rpc-error" (type $rpc-error))
    (with "import-do" (func $do))
    (with "import-plain" (func $plain))))
  (export "test:fail/svc@0.1.0" (instance $svc))
)
