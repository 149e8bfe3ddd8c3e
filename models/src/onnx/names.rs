//! Under which path the weights of a node stand.

/// The path of the layer of a node whose weight is called `weight`, whose bias `bias`, and which is called `node` itself.
///
/// A weight `fc.weight` belongs to the layer `fc`. An exporter that folds or transposes a weight gives it a name of its own, such as
/// `onnx::Conv_283` or `val_13`: then its bias names the layer, or the scope in which the node stands. Where nothing does, the
/// layer is called as its weight is.
pub(crate) fn layer_path(weight: &str, bias: Option<&str>, node: &str) -> Vec<String> {
    let layer = |tensor: &str, end: &str| tensor.strip_suffix(end).map(str::to_string);
    let own = layer(weight, ".weight");
    let by_bias = || bias.and_then(|bias| layer(bias, ".bias"));
    let by_scope = || if is_made(weight) { scope(node) } else { None };
    let name = own.or_else(by_bias).or_else(by_scope);
    segments(&name.unwrap_or_else(|| weight.to_string()))
}

/// The parts of a path.
pub(crate) fn segments(path: &str) -> Vec<String> {
    path.split('.').map(str::to_string).collect()
}

/// Whether the exporter made the name, rather than the network.
pub(crate) fn is_made(name: &str) -> bool {
    name.starts_with("onnx::") || is_numbered(name)
}

/// Whether it is a name like `val_13`, which PyTorch's exporter counts up.
fn is_numbered(name: &str) -> bool {
    let number = name.strip_prefix("val_");
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
}

/// The module of a node by its scope: `layer1.0.conv1` for `/layer1/layer1.0/conv1/Conv`.
///
/// A child of a list is called there by its list and its number once more.
pub(crate) fn scope(node: &str) -> Option<String> {
    let inner = node.strip_prefix('/')?;
    let (scopes, _) = inner.rsplit_once('/')?;
    let mut path: Vec<&str> = Vec::new();
    for scope in scopes.split('/') {
        let list = path.last().is_some_and(|list| {
            let rest = scope.strip_prefix(list);
            rest.is_some_and(|rest| rest.starts_with('.'))
        });
        if list {
            path.pop();
        }
        path.push(scope);
    }
    Some(path.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_called_as_pytorch_calls_them() {
        for (weight, bias, node, expected) in [
            ("conv1.weight", Some("conv1.weight_bias"), "n", "conv1"),
            ("f1.weight", None, "/f1/Gemm", "f1"),
            (
                "onnx::Conv_283",
                Some("onnx::Conv_284"),
                "/layer1/layer1.0/conv1/Conv",
                "layer1.0.conv1",
            ),
            (
                "onnx::MatMul_3",
                Some("ls.0.qkv.bias"),
                "/x/MatMul",
                "ls.0.qkv",
            ),
            ("val_13", Some("ls.0.qkv.bias"), "node_MatMul_1", "ls.0.qkv"),
            ("val_13", None, "node_MatMul_1", "val_13"),
            ("kernel:0", None, "a/b", "kernel:0"),
            // The layer then holds `attn.in_proj_weight.weight` and `attn.in_proj_weight.bias`.
            (
                "attn.in_proj_weight",
                Some("attn.in_proj_bias"),
                "n",
                "attn.in_proj_weight",
            ),
            ("weight", Some("bias"), "n", "weight"),
        ] {
            assert_eq!(layer_path(weight, bias, node).join("."), expected);
        }
    }
}
