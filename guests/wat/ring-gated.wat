;; A ring of components: each calls the next one until `depth` is 0, and counts
;; the calls on the way back. Before each call it waits at the
;; gate, so that a test decides what happens meanwhile.
;;
;;   interface test:ring/node@0.1.0 {
;;     use isorun:link/types@0.1.0.{rpc-error};
;;     call: func(depth: u32) -> result<u32, rpc-error>;   // ok(depth), or what befell a link on the way
;;     call-plain: func(depth: u32) -> u32;                // traps if a link fails
;;   }
;;   interface gate { pass: func(depth: u32); }        // a door the host keeps
;;   world { import gate; import node; export node }
(component
  (import "isorun:link/types@0.1.0" (instance $link
    (type $rpc-error' (variant
      (case "not-sent" string) (case "unknown" string) (case "refused" string) (case "failed" string)
      (case "deadline") (case "cancelled")))
    (export "rpc-error" (type (eq $rpc-error')))))
  (alias export $link "rpc-error" (type $rpc-error))
  (import "test:ring/node@0.1.0" (instance $next
    (alias outer 1 $rpc-error (type $e))
    (export "rpc-error" (type $rpc-error' (eq $e)))
    (export "call" (func (param "depth" u32) (result (result u32 (error $rpc-error')))))
    (export "call-plain" (func (param "depth" u32) (result u32)))))
  (import "test:ring/gate@0.1.0" (instance $gate (export "pass" (func (param "depth" u32)))))
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
  (core func $next-call (canon lower (func $next "call")
    (memory (core memory $l "memory")) (realloc (core func $l "realloc"))))
  (core func $next-call-plain (canon lower (func $next "call-plain")))
  (core func $pass (canon lower (func $gate "pass")))
  (core module $M
    (import "l" "memory" (memory 1))
    (import "l" "top" (global $top (mut i32)))
    (import "next" "call" (func $next-call (param i32 i32)))
    (import "next" "call-plain" (func $next-call-plain (param i32) (result i32)))
    (import "gate" "pass" (func $pass (param i32)))
    ;; The result lies at 16: 0 for ok with the number at 20; 1 for err with the case at 20 and its string at 24.
    (func (export "call") (param $depth i32) (result i32)
      (i32.store (i32.const 16) (i32.const 0))
      (i32.store (i32.const 20) (i32.const 0))
      (if (local.get $depth) (then
        (call $pass (local.get $depth))
        (call $next-call (i32.sub (local.get $depth) (i32.const 1)) (i32.const 16))
        (if (i32.eqz (i32.load8_u (i32.const 16)))
          (then (i32.store (i32.const 20) (i32.add (i32.load (i32.const 20)) (i32.const 1)))))))
      (i32.const 16))
    (func (export "call-plain") (param $depth i32) (result i32)
      (if (i32.eqz (local.get $depth)) (then (return (i32.const 0))))
      (call $pass (local.get $depth))
      (i32.add (i32.const 1) (call $next-call-plain (i32.sub (local.get $depth) (i32.const 1)))))
    (func (export "post") (param i32) (global.set $top (i32.const 4096)))
  )
  (core instance $m (instantiate $M
    (with "l" (instance $l))
    (with "next" (instance (export "call" (func $next-call)) (export "call-plain" (func $next-call-plain))))
    (with "gate" (instance (export "pass" (func $pass))))))
  (func $call (param "depth" u32) (result (result u32 (error $rpc-error)))
    (canon lift (core func $m "call") (memory (core memory $l "memory")) (realloc (core func $l "realloc"))
      (post-return (core func $m "post"))))
  (func $call-plain (param "depth" u32) (result u32) (canon lift (core func $m "call-plain")))
  ;; Names the types of the interface for its functions.
  (component $Node
    (import "import-rpc-error" (type $e (eq $rpc-error)))
    (import "import-call" (func $call (param "depth" u32) (result (result u32 (error $e)))))
    (import "import-call-plain" (func $call-plain (param "depth" u32) (result u32)))
    (export $rpc-error' "rpc-error" (type $e))
    (export "call" (func $call) (func (param "depth" u32) (result (result u32 (error $rpc-error')))))
    (export "call-plain" (func $call-plain)))
  (instance $node (instantiate $Node
    (with "import-rpc-error" (type $rpc-error))
    (with "import-call" (func $call))
    (with "import-call-plain" (func $call-plain))))
  (export "test:ring/node@0.1.0" (instance $node))
)
