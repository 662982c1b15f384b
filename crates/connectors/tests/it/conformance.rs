//! The shared conformance suite against every endpoint.

use std::sync::Arc;

use syncline_connect::OpenRequest;
use syncline_connect::conformance::{Place, run};
use syncline_connect::memory::{MemoryEndpoint, Tokens};
use syncline_connectors::endpoints::ai_clients::AiClientsEndpoint;
use syncline_connectors::endpoints::folder::FolderEndpoint;
use syncline_connectors::endpoints::git::GitEndpoint;
use syncline_connectors::endpoints::repositories::RepositoriesEndpoint;
use syncline_connectors::endpoints::upstream::UpstreamEndpoint;
use syncline_core::Abilities;

use crate::git_support::Repository;

fn memory(abilities: Abilities, tokens: Tokens) -> Place {
    let endpoint = MemoryEndpoint::new("memory", abilities, tokens);
    let outside = endpoint.clone();
    Place {
        endpoint: Arc::new(endpoint),
        make_unreadable: Some(Box::new(move |path| outside.set_unreadable(path, true))),
        guard: Box::new(()),
    }
}

#[tokio::test]
async fn a_memory_endpoint_conforms() {
    let left_out = run(|| memory(Abilities::default(), Tokens::Counter)).await;
    assert_eq!(left_out, ["names_that_fold_together_do_not_overwrite"]);
}

#[tokio::test]
async fn a_memory_endpoint_that_folds_case_conforms() {
    let abilities = Abilities { folds_case: true, folds_unicode: true, ..Abilities::default() };
    assert!(run(|| memory(abilities, Tokens::Counter)).await.is_empty());
}

#[tokio::test]
async fn a_memory_endpoint_without_directories_and_with_content_tokens_conforms() {
    let abilities = Abilities {
        directories: false,
        symlinks: false,
        executable: false,
        moves: false,
        directory_moves: false,
        ..Abilities::default()
    };
    let left_out = run(|| memory(abilities, Tokens::Content)).await;
    assert_eq!(left_out.len(), 15, "{left_out:?}");
}

#[tokio::test]
async fn a_folder_conforms() {
    let left_out = run(|| {
        let directory = tempfile::tempdir().expect("a temporary folder");
        Place {
            endpoint: Arc::new(FolderEndpoint::open(directory.path(), false)),
            make_unreadable: None,
            guard: Box::new(directory),
        }
    })
    .await;
    // Whether a folder can be made unreadable depends on the user; `folder` does it in a process of its own.
    assert_eq!(left_out, ["names_that_fold_together_do_not_overwrite", "unreadable_is_not_absent"]);
}

#[tokio::test]
async fn a_branch_of_a_git_repository_conforms() {
    let left_out = run(|| {
        let repository = Repository::new();
        let endpoint =
            GitEndpoint::open(&repository.request(&repository.settings())).expect("it can be opened");
        Place { endpoint: Arc::new(endpoint), make_unreadable: None, guard: Box::new(repository) }
    })
    .await;
    let directories = left_out.iter().filter(|name| name.contains("director")).count();
    assert_eq!((left_out.len(), directories), (11, 9), "{left_out:?}");
}

#[tokio::test]
async fn the_upstream_of_a_clone_conforms() {
    let left_out = run(|| {
        let repository = Repository::new();
        let settings = repository.clone_into_work();
        let endpoint = UpstreamEndpoint::open(&repository.request(&settings)).expect("it can be opened");
        Place { endpoint: Arc::new(endpoint), make_unreadable: None, guard: Box::new(repository) }
    })
    .await;
    let directories = left_out.iter().filter(|name| name.contains("director")).count();
    assert_eq!((left_out.len(), directories), (11, 9), "{left_out:?}");
}

#[tokio::test]
async fn many_repositories_conform_as_far_as_they_are_only_read() {
    let left_out = run(|| {
        let repository = Repository::new();
        let settings = serde_json::json!({ "urls": [repository.bare()] });
        let endpoint = RepositoriesEndpoint::open(&repository.request(&settings)).expect("it can be opened");
        Place { endpoint: Arc::new(endpoint), make_unreadable: None, guard: Box::new(repository) }
    })
    .await;
    // What has to be written first has tests of its own in `repositories`.
    for case in ["an_empty_place_has_no_items", "a_check_succeeds_and_changes_nothing"] {
        assert!(!left_out.contains(&case), "{left_out:?}");
    }
}

#[tokio::test]
async fn ai_clients_conform_as_far_as_one_document_goes() {
    let left_out = run(|| {
        let directory = tempfile::tempdir().expect("a temporary folder");
        let files = serde_json::json!({ "cursor": directory.path().join("mcp.json") });
        let settings = serde_json::json!({ "document": "claude.md", "clients": ["cursor"], "files": files });
        let folder = directory.path();
        let request = OpenRequest { settings: &settings, workspace: folder, folder, state: folder };
        let endpoint = AiClientsEndpoint::open(&request).expect("it can be opened");
        Place { endpoint: Arc::new(endpoint), make_unreadable: None, guard: Box::new(directory) }
    })
    .await;
    // It holds one item, of a name that the suite does not choose: writing has tests of its own in `ai_clients`.
    for case in ["an_empty_place_has_no_items", "a_check_succeeds_and_changes_nothing"] {
        assert!(!left_out.contains(&case), "{left_out:?}");
    }
}
